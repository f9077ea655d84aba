package main

import (
	"fmt"
	"math"
	"os"
	"runtime"
	"strings"
	"testing"

	"github.com/pinfs/pinfs/testwarden"
)

func TestMemoryIsShared(t *testing.T) {
	const mib = 1 << 20
	for _, tc := range []struct{ limit, buffers, heap int64 }{
		{0, 256 * mib, math.MaxInt64},
		{128 * mib, 64 * mib, 96 * mib},
		{512 * mib, 128 * mib, 512*mib/10*9 - 128*mib},
		{1024 * mib, 256 * mib, 1024*mib/10*9 - 256*mib},
		{64 << 30, 256 * mib, 64<<30/10*9 - 256*mib},
	} {
		buffers := buffersFor(tc.limit)
		if heap := heapFor(tc.limit, buffers); buffers != tc.buffers || heap != tc.heap {
			t.Errorf("of a limit of %d: got %d of buffers and %d of heap, want %d and %d", tc.limit, buffers, heap, tc.buffers, tc.heap)
		}
	}
	if memoryLimit() < 64*mib {
		t.Errorf("this host's memory: got %d bytes", memoryLimit())
	}
}

// freshProcess is set in the environment of a process that does one test alone.
const freshProcess = "PINFS_TEST_FRESH_PROCESS"

// TestBallastTakesNoMemory: it counts for the heap, and is not resident, in a process
// that has just begun and so has no used memory to give it.
func TestBallastTakesNoMemory(t *testing.T) {
	if os.Getenv(freshProcess) == "" {
		child := testwarden.Command(t.Context(), os.Args[0], "-test.run=^TestBallastTakesNoMemory$", "-test.v")
		child.Env = append(os.Environ(), freshProcess+"=1")
		if out, err := child.CombinedOutput(); err != nil || !strings.Contains(string(out), "--- PASS: TestBallastTakesNoMemory") {
			t.Errorf("%v: %s", err, out)
		}
		return
	}
	before := resident(t)
	ballast := make([]byte, ballastFor(0))
	if grown := resident(t) - before; grown > 8<<20 {
		t.Errorf("a ballast of %d bytes takes %d", len(ballast), grown)
	}
	runtime.KeepAlive(ballast)
	if got := ballastFor(128 << 20); got != 4<<20 {
		t.Errorf("of 128 MiB: %d", got)
	}
}

// resident is the memory of this process, in bytes.
func resident(t *testing.T) int64 {
	t.Helper()
	data, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		t.Fatal(err)
	}
	var size, pages int64
	if _, err := fmt.Sscan(string(data), &size, &pages); err != nil {
		t.Fatal(err)
	}
	return pages * int64(os.Getpagesize())
}
