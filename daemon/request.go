package daemon

import (
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"github.com/pinfs/pinfs/manifest"
)

// MountRequest says what to show where.
type MountRequest struct {
	// Dir is the mount point, as MountPoint gives it.
	Dir string `json:"dir"`
	// Registry is the URL of the registry that has the names.
	Registry string `json:"registry"`
	// Project and Ref select: neither for all projects, Project for
	// its versions, both for the files of the version that Ref ("mnist:v3",
	// "mnist", "mnist:best") names now.
	Project string `json:"project,omitempty"`
	Ref     string `json:"ref,omitempty"`
	// AllowOther, UID and GID are for fusefs.Options; nil takes its defaults.
	AllowOther *bool   `json:"allow_other,omitempty"`
	UID        *uint32 `json:"uid,omitempty"`
	GID        *uint32 `json:"gid,omitempty"`
	// Verify is VerifyFill or VerifyStrict; "" is VerifyFill.
	Verify string `json:"verify,omitempty"`
	// Open is OpenAuto, fusefs.OpenStateless or fusefs.OpenPassthrough; "" is stateless.
	Open string `json:"open,omitempty"`
	// MaxObjects bounds what one unpinned reference may mean; 0 is the default,
	// negative is no bound.
	MaxObjects int64 `json:"max_objects,omitempty"`
	// Fill brings all of the version in the background, for a mount of one version.
	Fill bool `json:"fill,omitempty"`
	// Settings are how the sources are to be asked; they must be the daemon's.
	Settings Settings `json:"settings,omitempty"`
	// Token tells this request from any other, so that it can be cancelled. The
	// client sets it.
	Token string `json:"token,omitempty"`
}

// What a mount serves.
const (
	// VerifyFill: each block as it arrives, checked as far as it can be by then;
	// the whole is checked when the cache has all of it. Small objects, files, and
	// what failed once are verified first.
	VerifyFill = "fill"
	// VerifyStrict: no byte before the whole was verified. What no checksum is
	// known of can't be read.
	VerifyStrict = "strict"
)

func (r MountRequest) verify() string {
	if r.Verify == "" {
		return VerifyFill
	}
	return r.Verify
}

// shows says in words what the request is for.
func (r MountRequest) shows() string {
	switch {
	case r.Project == "":
		return "all projects"
	case r.Ref == "":
		return r.Project
	}
	return r.Project + "/" + r.Ref
}

// MountReply is the answer to a MountRequest.
type MountReply struct {
	MountPoint string `json:"mountpoint"`
	PID        int    `json:"pid"` // of the daemon
	Ref        string `json:"ref"` // what is shown: "", "project" or "project/mnist:v3"
	// Open and OpenReason are as in MountStatus.
	Open       string `json:"open"`
	OpenReason string `json:"open_reason,omitempty"`
}

// UnmountRequest says which mount is to end.
type UnmountRequest struct {
	Dir string `json:"dir"`
	// Lazy takes a busy mount out of sight at once; it ends with its last user.
	Lazy bool `json:"lazy,omitempty"`
	// Cancel is the token of a request that nobody waits for any more: what came
	// or comes of it is to end, nothing else.
	Cancel string `json:"cancel,omitempty"`
}

// UnmountReply is the answer to an UnmountRequest.
type UnmountReply struct {
	PID int `json:"pid"` // of the daemon
	// Last is true when the daemon has nothing left and ends.
	Last bool `json:"last"`
}

// Settings tell how sources are asked: name to value, such as s3-endpoint. They
// are compared and shown, so they hold no secret.
type Settings map[string]string

// differ lists the names whose values differ, sorted.
func (s Settings) differ(other Settings) []string {
	var names []string
	all := maps.Clone(s)
	if all == nil {
		all = Settings{}
	}
	maps.Copy(all, other)
	for name := range all {
		if s[name] != other[name] {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// MountPoint gives the one path that stands for dir: absolute, without symbolic
// links. It works for mount points whose file system is dead, too.
func MountPoint(dir string) (string, error) {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return "", &manifest.Error{Kind: manifest.KindInvalid, Op: "mount point", Ref: dir, Err: err}
	}
	if real, err := filepath.EvalSymlinks(abs); err == nil {
		return real, nil
	}
	if parent, err := filepath.EvalSymlinks(filepath.Dir(abs)); err == nil {
		return filepath.Join(parent, filepath.Base(abs)), nil
	}
	return abs, nil
}

// check refuses requests that no client makes by mistake but for Dir.
func (r MountRequest) check() error {
	bad := func(ref, msg string) error {
		return &manifest.Error{Kind: manifest.KindInvalid, Op: "mount", Ref: ref, Msg: msg}
	}
	switch {
	case !filepath.IsAbs(r.Dir) || filepath.Clean(r.Dir) != r.Dir || strings.ContainsRune(r.Dir, 0):
		return bad(r.Dir, "the mount point is not an absolute, clean path")
	case r.Registry == "":
		return bad(r.Dir, "the registry is missing")
	case r.verify() != VerifyFill && r.verify() != VerifyStrict:
		return bad(r.Verify, "no such way to verify: "+VerifyFill+" or "+VerifyStrict)
	case r.Fill && r.Ref == "":
		return bad(r.Dir, "only a mount of one version can be filled")
	case !slices.Contains(OpenModes(), r.openMode()):
		return bad(r.Open, "no such way to open files: "+strings.Join(OpenModes(), ", "))
	case r.Ref != "" && r.Project == "":
		return bad(r.Ref, "the project is missing")
	}
	return nil
}
