package cache

import (
	"context"
	"io"
	"log/slog"
	"os"
	"time"

	"github.com/pinfs/pinfs/manifest"
	"github.com/pinfs/pinfs/manifest/chunks"
)

// Source gives the bytes of objects at their pins. All methods may be called
// from many goroutines at once, honour ctx and return *manifest.Error.
type Source interface {
	// Open streams length bytes from offset of obj. The caller closes the stream.
	// Described tells what this response says of the whole object.
	Open(ctx context.Context, obj manifest.Object, offset, length int64) (io.ReadCloser, Described, error)
	// Stat asks for obj without reading it.
	Stat(ctx context.Context, obj manifest.Object) (Described, error)
}

// Described is what a source says of one object.
type Described struct {
	// Size is in bytes; manifest.SizeUnknown when the response does not tell.
	Size int64
	// Sums are checksums of the whole content that the source vouches for.
	Sums []manifest.Sum
}

// Options configure a Cache. The zero value of each field but Dir and Source
// means its default.
type Options struct {
	// Dir is the directory of the cache: created with mode 0700, used by one
	// process at a time.
	Dir string
	// Lock is the Lock of a Cache of Dir in a process before, which nobody else could
	// take meanwhile; the Cache closes it. nil: there is none.
	Lock *os.File
	// Size is how many bytes of content may be on disk, default 10 GiB.
	Size int64
	// MinFree is how many bytes of Dir's file system are left free, default
	// 1 GiB or a twentieth of the file system, whichever is less, and at least
	// 96 MiB. Below it content is evicted, then reads go through uncached.
	MinFree int64
	// Source is asked for what is not here. Required.
	Source Source
	// Logger gets alarms and what is logged once per object, default slog.Default.
	Logger *slog.Logger
	// MemoryBytes bounds the buffers of fetches, default 256 MiB, at least 8 MiB.
	MemoryBytes int64
	// Parallel is how many parts of up to 8 MiB are fetched ahead of one
	// sequential reader at most, default 16; fewer from a source that is near.
	Parallel int
	// Requests bounds the requests in flight over all objects, default 128.
	Requests int
	// StallTimeout is how long a wait goes on without any progress before it
	// ends with KindTimeout, default 2 min: longer than a source's own patience,
	// which has more to say.
	StallTimeout time.Duration
	// RetryAfter is how long an object that failed its check, changed or is gone
	// answers with the same error before the source is asked again, default 2 s.
	RetryAfter time.Duration
	// UseGrain is how exactly the last use of an object is kept, default 1 min.
	UseGrain time.Duration
	// CloseTimeout is how long Close waits for fetches, for what is queued and for
	// the index, default 10 s; what hangs then ends with the process.
	CloseTimeout time.Duration
	// OnMismatch, if set, is told of an object some of whose bytes may have been
	// served before the check of the whole found them wrong. From before the call
	// on none is served unless a new fetch verifies; who keeps copies drops them.
	// A reader may be the caller: it must not wait for one.
	OnMismatch func(ctx context.Context, obj manifest.Object, err error)
	// FS does the file operations, default the host's.
	FS FS
}

const (
	defaultSize     = 10 << 30
	defaultMemory   = 256 << 20
	minMemory       = chunks.MaxSize // a chunk is checked in one buffer
	defaultParallel = 16
	defaultRequests = 128
)

func (o Options) withDefaults() Options {
	o.Size = or(o.Size, defaultSize)
	o.MemoryBytes = max(or(o.MemoryBytes, defaultMemory), minMemory)
	o.Parallel = or(o.Parallel, defaultParallel)
	o.Requests = or(o.Requests, defaultRequests)
	o.StallTimeout = or(o.StallTimeout, 2*time.Minute)
	o.RetryAfter = or(o.RetryAfter, 2*time.Second)
	o.UseGrain = or(o.UseGrain, time.Minute)
	o.CloseTimeout = or(o.CloseTimeout, 10*time.Second)
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	if o.FS == nil {
		o.FS = HostFS{}
	}
	return o
}

func or[T int | int64 | time.Duration](v, otherwise T) T {
	if v <= 0 {
		return otherwise
	}
	return v
}

// maxPart is the most bytes of one request: 8 MiB, less when memory is short.
func (o Options) maxPart() int64 {
	part := int64(partMax)
	for part > o.MemoryBytes/8 && part > wholeMax {
		part /= 2
	}
	return part
}

// minFree gives the floor for a file system of total bytes.
func (o Options) minFree(total int64) int64 {
	if o.MinFree > 0 {
		return o.MinFree
	}
	return max(min(1<<30, total/20), 96<<20)
}
