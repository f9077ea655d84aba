package backends

import (
	"context"
	"io"
	"time"

	"github.com/pinfs/pinfs/manifest"
)

// Backend reads objects of one source (manifest.Source). All methods may be called from many
// goroutines at once, honour ctx, and return *manifest.Error.
type Backend interface {
	// List finds what uri means now and calls fn for each object, one call at a
	// time, in no promised order: the one object that uri names, else every
	// object below uri + "/" (a sibling that only shares the prefix is not below
	// it). Folder markers are no objects; empty objects are. An error of fn ends
	// the listing and is returned as it is. Nothing there: KindNoSource. A URI
	// with a version behind it (manifest.SplitVersion) means that version of one
	// object; Info.Ref has none.
	List(ctx context.Context, uri string, fn func(Info) error) error

	// Stat asks for obj at its pin without reading it. KindGone: the version no
	// longer exists. KindChanged: another version is there (Expected, Found).
	// KindUnsupported: obj has no pin.
	// Drivers whose pin is the content (PinMD5) read and hash it. Info.Sums holds
	// all checksums of the whole content that the source vouches for at that version
	// and tells without the content being read (S3: checksum mode; GCS: md5, crc32c;
	// Azure: Content-MD5).
	Stat(ctx context.Context, obj manifest.Object) (Info, error)

	// Open streams length bytes from offset of obj at its pin; length < 0 means
	// to the end. Past the end: an empty stream. A range that crosses the end is
	// cut there. Errors as for Stat, at Open or at the first Read. The caller
	// closes the stream. Info holds at least Size, and Sums if the response
	// tells them.
	//
	// Another size than obj.Size, if that is known, is KindCorrupt or KindChanged,
	// here and in Stat. For pins by content that is all that the driver checks at
	// once; the digest is the caller's to check.
	Open(ctx context.Context, obj manifest.Object, offset, length int64) (io.ReadCloser, Info, error)

	// Close frees connections. No call may follow.
	Close() error
}

// Digester is implemented by a Backend whose source records no digest (files).
// publish calls Digest, many at once, for every Info that List gave without one.
type Digester interface {
	// Digest reads the object and completes info. KindChanged when the object
	// changed while it was read.
	Digest(ctx context.Context, info Info) (Info, error)
}

// ManyDigester is a Digester that is faster with many objects together.
type ManyDigester interface {
	Digester
	// DigestMany completes each of infos in place, as Digest would; how many are
	// worth giving at once is 64 or more. It ends with the first error, which names
	// its object; then nothing is promised of infos.
	DigestMany(ctx context.Context, infos []Info) error
}

// Info is what a source says of one object.
type Info struct {
	// Name is the path below the URI that was listed; the base name when the URI
	// names the object itself.
	Name string
	// Single is true when the listed URI named the object itself.
	Single bool
	// Ref, Digest, Size and Extra are what a manifest records, by W&B's rules.
	Ref    string
	Digest string
	Size   int64
	Extra  map[string]any
	// ModTime is zero when the source does not tell.
	ModTime time.Time
	// Sums are the checksums of the whole content that the source vouches for,
	// whatever Digest is. An ETag counts as MD5 only if the driver knows it is one.
	Sums []manifest.Sum
}

// Entry gives info as an entry of a manifest at path.
func (i Info) Entry(path string) manifest.Entry {
	return manifest.Entry{Path: path, Digest: i.Digest, Ref: i.Ref, Size: i.Size, ModTime: i.ModTime, Extra: i.Extra}
}
