package cache_test

import (
	"math"
	"testing"

	"github.com/pinfs/pinfs/cache"
	"github.com/pinfs/pinfs/manifest"
)

// TestSizesBeyondReason: what is too large for any store is refused before a table of
// its blocks is made.
func TestSizesBeyondReason(t *testing.T) {
	c := open(t, options(t.TempDir(), newSource()))
	for _, size := range []int64{cache.MaxObject + 1, 1 << 62, math.MaxInt64} {
		obj := manifest.Object{Ref: "mem://b/huge", Digest: "e", Size: size, Pin: manifest.Pin{Kind: manifest.PinETag, Value: "e"}}
		readErr(t, c, obj, manifest.KindLimit)
		if _, err := c.CheckLocal(t.Context(), obj); manifest.KindOf(err) != manifest.KindLimit {
			t.Errorf("CheckLocal of %d bytes: got %v, want KindLimit", size, err)
		}
		if got := c.Prefetch(obj, 1<<20); got != cache.AheadHere {
			t.Errorf("Prefetch of %d bytes: got %v, want nothing asked", size, got)
		}
		if err := c.Warm(t.Context(), obj); manifest.KindOf(err) != manifest.KindLimit {
			t.Errorf("Warm of %d bytes: got %v, want KindLimit", size, err)
		}
	}
}
