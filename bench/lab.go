package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/pinfs/pinfs/integration/servers"
)

const (
	buildLimit = 10 * time.Minute
	seedLimit  = 10 * time.Minute
	pinfsLimit = 5 * time.Minute // one run of the command
	spareDisk  = 2 << 30
	workPrefix = "pinfs-bench-" // and the process
)

// lab is where a run takes place: a directory on one disk with the data, the
// server, the registry and the caches, and the networks in front of the server.
type lab struct {
	dir    string
	sets   map[string]*dataset
	server *servers.S3
	pid    int    // of the server
	data   string // directory of the server's bucket
	nets   map[string]network
	pinfs  string // the program
	can    abilities
	mounts int
	closes []func() // last first
}

// network is a way to reach the server.
type network struct {
	endpoint string
	missing  string // why it can't be had
	traffic  func() (requests, throttled int64)
}

// abilities are what this build of pinfs has.
type abilities struct{ warm, passthrough bool }

// newLab makes the directory; close must be called whatever comes.
func newLab(parent string) (*lab, error) {
	removeStale(parent)
	dir, err := os.MkdirTemp(parent, fmt.Sprintf("%s%d-", workPrefix, os.Getpid()))
	if err != nil {
		return nil, err
	}
	if dir, err = filepath.Abs(dir); err != nil {
		return nil, err
	}
	l := &lab{dir: dir, nets: map[string]network{}}
	l.closes = append(l.closes, func() { _ = os.RemoveAll(dir) })
	for _, d := range []string{"disk", "tmp", "mnt", "cache", "home"} {
		if err := os.Mkdir(l.path(d), 0o755); err != nil {
			return l, err
		}
	}
	return l, os.Setenv("TMPDIR", l.path("tmp")) // the server's data on the same disk
}

// removeStale removes what runs left that were killed, mounts first.
func removeStale(parent string) {
	dirs, err := filepath.Glob(filepath.Join(parent, workPrefix+"*-*"))
	if err != nil {
		return
	}
	for _, dir := range dirs {
		pid, _, _ := strings.Cut(strings.TrimPrefix(filepath.Base(dir), workPrefix), "-")
		if n, err := strconv.Atoi(pid); err != nil || syscall.Kill(n, 0) == nil {
			continue
		}
		if abs, err := filepath.Abs(dir); err == nil {
			for _, m := range mountsBelow(abs) {
				unmount(m)
			}
		}
		_ = os.RemoveAll(dir) // another user's stays
	}
}

func (l *lab) path(parts ...string) string {
	return filepath.Join(append([]string{l.dir}, parts...)...)
}

// close ends and removes everything.
func (l *lab) close() {
	for _, dir := range mountsBelow(l.dir) {
		unmount(dir)
	}
	for i := len(l.closes) - 1; i >= 0; i-- {
		l.closes[i]()
	}
}

// checkDisk fails when the disk has too little room for what sets need.
func (l *lab) checkDisk(sets []*dataset) error {
	var bytes, most int64
	for _, d := range sets {
		bytes += d.bytes()
		most = max(most, d.bytes())
	}
	need := 2*bytes + most + spareDisk // the server's, the disk's, one cache
	var st unix.Statfs_t
	if err := unix.Statfs(l.dir, &st); err != nil {
		return err
	}
	if free := int64(st.Bavail) * st.Bsize; free < need {
		return fmt.Errorf("%s has %.1f GB free and needs %.1f: give -dir, or a smaller -size", filepath.Dir(l.dir), float64(free)/1e9, float64(need)/1e9)
	}
	say("data: %.1f GB; at most %.1f GB of disk in %s", float64(bytes)/1e9, float64(need)/1e9, l.dir)
	return nil
}

// build builds pinfs as it is released, unless there is one, and asks it what it can do.
func (l *lab) build(ctx context.Context) error {
	if l.pinfs == "" {
		l.pinfs = l.path("pinfs")
		_, err := output(ctx, buildLimit, []string{"CGO_ENABLED=0"}, "go", "build", "-trimpath", "-ldflags", "-s -w", "-o", l.pinfs, "github.com/pinfs/pinfs/cmd/pinfs")
		if err != nil {
			return err
		}
	}
	help, err := output(ctx, pinfsLimit, nil, l.pinfs, "help", "mount")
	l.can.passthrough = err == nil && strings.Contains(help, "passthrough")
	_, err = output(ctx, pinfsLimit, nil, l.pinfs, "help", "warm")
	l.can.warm = err == nil
	return nil
}

// startServer starts the S3 server with an empty bucket.
func (l *lab) startServer(ctx context.Context) error {
	s, stop, err := servers.StartS3Main()
	if err != nil {
		return err
	}
	l.server = s
	l.closes = append(l.closes, stop)
	l.nets[netPlain] = network{endpoint: s.Endpoint}
	if l.pid, err = childNamed("versitygw"); err != nil {
		return err
	}
	home, err := os.Readlink(fmt.Sprintf("/proc/%d/cwd", l.pid))
	if err != nil {
		return err
	}
	l.data = filepath.Join(home, bucket)
	if _, err := s.Client(nil).CreateBucket(ctx, &s3.CreateBucketInput{Bucket: aws.String(bucket)}); err != nil {
		return err
	}
	_, err = s.Client(nil).PutBucketVersioning(ctx, &s3.PutBucketVersioningInput{
		Bucket: aws.String(bucket), VersioningConfiguration: &types.VersioningConfiguration{Status: types.BucketVersioningStatusEnabled},
	})
	return err
}

// seed writes the sets everywhere: server, disk, registry.
func (l *lab) seed(ctx context.Context, sets []*dataset) error {
	ctx, cancel := context.WithTimeout(ctx, seedLimit)
	defer cancel()
	for _, d := range sets {
		begin := time.Now()
		if err := (seeder{client: l.server.Client(nil), disk: l.path("disk")}).seed(ctx, d); err != nil {
			return fmt.Errorf("seed %s: %w", d.name, err)
		}
		if err := l.record(ctx, d); err != nil {
			return err
		}
		if err := errors.Join(l.settle(ctx, l.path("disk", d.name), d.absent), l.settle(ctx, filepath.Join(l.data, d.name), d.listed)); err != nil {
			return err
		}
		say("seeded %s: %d files of %d bytes in %.1f s", d.name, d.count, d.size, time.Since(begin).Seconds())
	}
	return nil
}

// settle writes a tree to the disk, so that it is not written while something is measured.
func (l *lab) settle(ctx context.Context, dir string, absent bool) error {
	if absent {
		return nil
	}
	return forgetFilesBelow(ctx, dir, false)
}

// record makes a version of a set.
func (l *lab) record(ctx context.Context, d *dataset) error {
	args := []string{"--name", "bench/" + d.name, "--type", "dataset"}
	if d.listed {
		manifest := l.path(d.name + ".json")
		defer os.Remove(manifest)
		if err := d.writeManifest(manifest); err != nil {
			return err
		}
		args = append([]string{"import"}, append(args, manifest)...)
	} else {
		args = append([]string{"put"}, append(args, "--max-objects", "0", "s3://"+bucket+"/"+d.name)...)
	}
	_, err := output(ctx, pinfsLimit, l.pinfsEnv(l.server.Endpoint, l.path("cache", "put")), l.pinfs, args...)
	return err
}

// pinfsEnv is what pinfs needs to know; all else is as a user has it.
func (l *lab) pinfsEnv(endpoint, cache string) []string {
	return append(l.storeEnv(endpoint),
		"PINFS_REGISTRY=file://"+l.path("registry"), "PINFS_CACHE_DIR="+cache,
		"HOME="+l.path("home"), "XDG_CONFIG_HOME="+l.path("home"))
}

// storeEnv is AWS's own environment.
func (l *lab) storeEnv(endpoint string) []string {
	return append(l.server.Env(), "AWS_ENDPOINT_URL="+endpoint, "AWS_ENDPOINT_URL_S3="+endpoint)
}

// place is where the bare client reads a set.
func (l *lab) place(n network, d *dataset, parallel int) *s3Place {
	return &s3Place{
		Endpoint: n.endpoint, AccessKey: l.server.AccessKey, SecretKey: l.server.SecretKey, Region: l.server.Region,
		Bucket: bucket, Prefix: d.name + "/", Parallel: parallel,
	}
}

// tool gives the path of a program that tools.sh installs.
func tool(name, version string) (string, error) {
	dir := os.Getenv("PINFS_TOOLS")
	if dir == "" {
		cache, err := os.UserCacheDir()
		if err != nil {
			return "", err
		}
		dir = filepath.Join(cache, "pinfs-tools")
	}
	path := filepath.Join(dir, name+"-"+version, name)
	if _, err := os.Stat(path); err == nil {
		return path, nil
	}
	return "", errors.New("not installed: integration/tools.sh install bench")
}

// installed gives the path of a program of the system.
func installed(name string) (string, error) {
	path, err := exec.LookPath(name)
	if err != nil {
		return "", errors.New("not installed: integration/tools.sh install bench")
	}
	return path, nil
}
