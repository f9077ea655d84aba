package download

import (
	"cmp"

	"github.com/pinfs/pinfs/backends"
	"github.com/pinfs/pinfs/manifest/snapshot"
)

const (
	defaultParallel = 32
	defaultPartSize = 8 << 20
	partWindow      = 16 // parts of one file in flight or waiting for the hash
	bufferSize      = 256 << 10
	maxFailures     = 10_000 // failures that are listed; more are counted
)

// GetOptions say what to download. Snapshot, Backend and Root are needed.
type GetOptions struct {
	Snapshot *snapshot.Snapshot
	Backend  backends.Backend
	// Root is the directory to fill; it is made if it isn't there.
	Root string
	// PathPrefix is a file or directory of the version; "" is all of it. Paths
	// below Root are those of the version all the same.
	PathPrefix string
	// Parallel is how many requests are made at once; 0 is 32.
	Parallel int
	// PartSize is in bytes; files of more than two parts are fetched by ranges, some
	// at once. 0 is 8 MiB.
	PartSize int64
	// Progress is called at most ten times a second and once at the end, one call
	// at a time; may be nil.
	Progress func(Progress)
}

// Progress is how far a Get or a Verify is.
type Progress struct {
	Files      int64 // done, failed ones too
	Bytes      int64 // fetched or found in place
	TotalFiles int64
	TotalBytes int64 // of the files whose size is known
}

// GetResult is what a Get did.
type GetResult struct {
	Root   string // absolute
	Files  int64  // that are in place, checked
	Bytes  int64  // in them
	Reused int64  // files among them that were in place before
	// Failed has at most 10,000 failures; FailedCount counts all.
	Failed      []Failure
	FailedCount int64
}

// Failure is a file that could not be had.
type Failure struct {
	Path string
	Err  error
}

// VerifyOptions say what to verify. Snapshot and Backend are needed.
type VerifyOptions struct {
	Snapshot *snapshot.Snapshot
	Backend  backends.Backend
	// Parallel is how many requests are made at once; 0 is 32.
	Parallel int
	// Read has every content read from its source and checked by the strongest that
	// is recorded of it (chunks, then checksums), else by what the source vouches
	// for, else by its length.
	Read bool
	// Progress is as in GetOptions.
	Progress func(Progress)
	// OnFile is called once for each file, one call at a time, in no promised order;
	// may be nil. check names what was compared, joined by ", ", or only what
	// differed; it is CheckNone where nothing can be asked for, and then ok is true.
	OnFile func(path, check string, ok bool)
}

// What a Verify compares, beside the pins ("etag", …) and the
// checksums, which go by the names of manifest.SumAlg.
const (
	CheckVersion = "version id"
	CheckChunks  = "chunks"
	CheckSize    = "size"
	CheckNone    = "none"
)

// VerifyResult is what a Verify found.
type VerifyResult struct {
	Checked   int64 // asked for at their pins: OK and failed ones
	OK        int64
	Unchecked int64 // tracked only: no pin to ask for
	// Checks counts the files by what was compared and was right: "version id",
	// "generation", "etag", "last-modified", "md5" as pins; "md5", "sha256", "crc32",
	// "crc32c", "crc64nvme" where a recorded checksum was compared with what the source tells
	// or, with Read, with the content; "chunks"; "size" where nothing but the length
	// of what was read could be. Most files count more than once.
	Checks map[string]int64
	// Bytes were read, with Read.
	Bytes int64
	// Failed has at most 10,000 failures; FailedCount counts all.
	Failed      []VerifyFailure
	FailedCount int64
}

// VerifyFailure is an object that is not there as it was recorded, or that could
// not be asked for: Err tells which.
type VerifyFailure struct {
	Path, Ref       string
	Expected, Found string
	// Check is what differed, or was asked for in vain: a name of
	// VerifyResult.Checks.
	Check string
	Err   error
}

func parallelOf(n int) int { return cmp.Or(max(n, 0), defaultParallel) }
