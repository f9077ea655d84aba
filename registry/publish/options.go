package publish

import (
	"encoding/json"
	"io"
	"runtime"
	"strings"

	"github.com/pinfs/pinfs/backends"
	"github.com/pinfs/pinfs/manifest"
	"github.com/pinfs/pinfs/registry"
)

// DefaultMaxObjects is how many objects one URI may list unless the caller says
// otherwise: the limit that W&B documents.
const DefaultMaxObjects = 10_000

// Source is one thing to track.
type Source struct {
	// Name is the path of a single object, or the directory above a listing; may
	// be empty.
	Name string
	// URI is an object, a prefix or a directory; a path without a scheme is local.
	URI string
}

// ParseSource reads [NAME=]URI. The first '=' ends a NAME, unless what is before
// it looks like a URI or a path: it holds "://" or begins with '/', '.' or '~'.
func ParseSource(s string) Source {
	name, uri, ok := strings.Cut(s, "=")
	if !ok || name == "" || strings.Contains(name, "://") || strings.ContainsAny(name[:1], "/.~") {
		return Source{URI: s}
	}
	return Source{Name: name, URI: uri}
}

// Options say what to put. Registry, Backend, Name, Type and Sources are needed.
type Options struct {
	Registry *registry.Registry
	// Backend lists the sources; if it is a backends.Digester, it is asked for
	// digests that the listing does not give.
	Backend backends.Backend

	// Name is the artifact: with a project, without a version.
	Name        manifest.Name
	Type        string
	Description string
	By, Run     string
	Metadata    json.RawMessage
	Aliases     []string
	Sources     []Source

	// MaxObjects bounds what one source may list; 0 is no bound.
	MaxObjects int64
	// Checksum is which checksum is recorded beside the digests: none, the name of
	// a manifest.SumAlg, or AnyChecksum. The sources' own are taken, nothing is
	// read, but files, whose source has none, are.
	Checksum string
	// ChunkDigests reads each object once and records a digest of each piece.
	ChunkDigests bool
	// Copy reads each object once and keeps its content in the registry: the
	// entries have no reference any more.
	Copy bool
	// NoChecksum records each URI as it stands, one entry without a pin, and asks
	// nothing of its source; of files the names are listed.
	NoChecksum bool
	// DryRun does all but the commit: lists, digests, builds, compares.
	DryRun bool
	// Progress is called at most ten times a second and once at the end, one call
	// at a time; may be nil.
	Progress func(Progress)
	// Workers is how many digests are made at once; 0 is GOMAXPROCS, since hashing
	// is what they do.
	Workers int
	// MemoryBytes bounds the sorting of entries; 0 is the builder's default.
	MemoryBytes int64
}

// AnyChecksum as Options.Checksum takes all checksums that the source has, none
// too.
const AnyChecksum = "source"

// Progress is how far a Put or an Import is.
type Progress struct {
	Objects int64 // listed
	Bytes   int64 // in them, as far as their sizes are known
	Hashed  int64 // bytes read, for digests or to copy them
}

// Result is what came of it.
type Result struct {
	// Version is the new version, or the one that has the same content already.
	// After a DryRun it is the one that would be.
	Version registry.Version
	New     bool
	Files   int64
	Bytes   int64 // of the files whose size is known
}

// ImportOptions say what to import. Registry, Name, Type and Reader are needed.
type ImportOptions struct {
	Registry    *registry.Registry
	Name        manifest.Name
	Type        string
	Description string
	By, Run     string
	Metadata    json.RawMessage
	Aliases     []string
	// Reader gives the manifest's JSON; it is read once, to its end.
	Reader io.Reader
	// Progress is as in Options.
	Progress    func(Progress)
	MemoryBytes int64
}

func (o Options) commit() registry.Commit {
	return registry.Commit{
		Project: o.Name.Project, Artifact: o.Name.Artifact, Type: o.Type, Description: o.Description,
		By: o.By, Run: o.Run, Metadata: o.Metadata, Aliases: o.Aliases,
	}
}

func (o ImportOptions) commit() registry.Commit {
	return Options{
		Name: o.Name, Type: o.Type, Description: o.Description,
		By: o.By, Run: o.Run, Metadata: o.Metadata, Aliases: o.Aliases,
	}.commit()
}

// check refuses options that exclude each other.
func (o Options) check() error {
	bad := func(which, msg, hint string) error {
		return &manifest.Error{Kind: manifest.KindInvalid, Op: "put", Ref: which, Msg: msg, Hint: hint}
	}
	switch {
	case o.Checksum != "" && o.Checksum != AnyChecksum && manifest.SumAlg(o.Checksum).New() == nil:
		return bad("--checksum", "no such checksum: "+o.Checksum, "use md5, sha256, crc32, crc32c, crc64nvme or "+AnyChecksum)
	case o.NoChecksum && (o.Checksum != "" || o.ChunkDigests || o.Copy):
		return bad("--no-checksum", "it records no content, and can't be with --checksum, --chunk-digests or --copy", "leave one out")
	case o.Copy && o.Checksum != "":
		return bad("--copy", "it records MD5 and SHA-256 always, and can't be with --checksum", "leave one out")
	}
	return nil
}

// reads tells whether contents are to be read, whatever the sources know.
func (o Options) reads() bool { return o.ChunkDigests || o.Copy }

func (o Options) workers() int {
	if o.Workers > 0 {
		return o.Workers
	}
	return runtime.GOMAXPROCS(0)
}
