package main

import (
	"math"
	"testing"
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
