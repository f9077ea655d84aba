package manifest

import "time"

// SizeUnknown is the Size of an entry whose manifest does not tell it.
const SizeUnknown int64 = -1

// Entry is one file of a version.
type Entry struct {
	// Path is relative and '/'-separated; CheckPath holds the rules.
	Path string
	// Digest is what the source calls the content: an ETag without quotes, a
	// base64 MD5, or the URI itself when nothing else is known.
	Digest string
	// Ref is the URI of the object. Empty: a file that W&B itself stores.
	Ref string
	// Size is in bytes, or SizeUnknown. In a manifest of W&B's Go client 0 can
	// also mean unknown.
	Size int64
	// ModTime is when the object was last modified; zero when not known. It is
	// kept in snapshots and is no part of W&B's JSON.
	ModTime time.Time
	// Extra holds W&B's "extra" as decoded JSON; numbers are json.Number, since
	// a GCS generation does not fit a float64. The keys that pinfs itself reads
	// are below.
	Extra map[string]any
	// Chunks are the digests of the content's pieces, kept in snapshots and no part
	// of W&B's JSON.
	Chunks Chunks
	// BirthArtifactID and SkipCache are W&B's, kept for the round trip.
	BirthArtifactID string
	SkipCache       bool
}

// Keys of Entry.Extra.
const (
	ExtraETag    = "etag"
	ExtraVersion = "versionID"
	// ExtraChecksums is pinfs's own: an object of checksum names to lower-case hex.
	ExtraChecksums = "checksums"
	// ExtraLastModified is pinfs's own: what pins an HTTP object that has no strong
	// ETag, as its server sent it.
	ExtraLastModified = "lastModified"
	// ExtraSource is pinfs's own: the reference that a copy was made of.
	ExtraSource = "source"
)
