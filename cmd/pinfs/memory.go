package main

import (
	"log/slog"
	"math"
	"os"
	"runtime/debug"

	"github.com/KimMachineGun/automemlimit/memlimit"
)

const (
	minBuffers = 64 << 20  // bytes
	maxBuffers = 256 << 20 // bytes
	// minHeap is what the heap gets in any case: below it, collecting garbage
	// would cost more than the memory is worth.
	minHeap = 96 << 20 // bytes
	// gcPercent is how much the heap grows between two collections. go-fuse keeps
	// answers of each size in a pool of its own, for two collections: where the kernel
	// asks for pieces of any size, at twice the heap each one would begin later
	// than the one before, and the heap grew by hundreds of MiB.
	gcPercent = 40
	// maxBallast is the most of a heap that is never touched, so that it takes no
	// memory but counts when the heap grows: a collection for each ten MiB of a small
	// heap would take a tenth of the CPU.
	maxBallast = 64 << 20 // bytes
)

// memoryLimit is the memory that this process may use: what its control groups
// allow, or the host has; 0 when neither tells.
func memoryLimit() int64 {
	least := int64(0)
	for _, ask := range []memlimit.Provider{memlimit.FromCgroup, memlimit.FromSystem} {
		n, err := ask()
		if err == nil && n > 0 && n < math.MaxInt64 && (least == 0 || int64(n) < least) {
			least = int64(n)
		}
	}
	return least
}

// buffersFor gives the default of the cache's buffers: a quarter of the limit,
// within bounds.
func buffersFor(limit int64) int64 {
	if limit == 0 {
		return maxBuffers
	}
	return min(max(limit/4, minBuffers), maxBuffers)
}

// heapFor gives what is left for the heap beside the buffers, which are no part of
// it, with a tenth of the limit to spare for what neither counts.
func heapFor(limit, buffers int64) int64 {
	if limit == 0 {
		return math.MaxInt64
	}
	return max(limit/10*9-buffers, minHeap)
}

// ballastFor gives how much is laid under the heap: little where memory is.
func ballastFor(limit int64) int64 {
	if limit == 0 {
		return maxBallast
	}
	return min(limit/32, maxBallast)
}

// limitHeap has the garbage collector respect the limit and collect often, unless
// GOMEMLIMIT or GOGC say something else. What it gives is to be kept as long as the
// process works.
func limitHeap(limit, buffers int64, log *slog.Logger) (ballast []byte) {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
		ballast = make([]byte, ballastFor(limit))
	}
	if os.Getenv("GOMEMLIMIT") != "" {
		return ballast
	}
	heap := heapFor(limit, buffers)
	if heap != math.MaxInt64 {
		debug.SetMemoryLimit(heap + int64(len(ballast)))
	}
	log.Debug("memory", "limit", limit, "buffers", buffers, "heap", heap)
	return ballast
}
