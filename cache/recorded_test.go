package cache_test

import (
	"bytes"
	"encoding/hex"
	"testing"
	"time"

	"github.com/pinfs/pinfs/cache"
	"github.com/pinfs/pinfs/manifest"
)

// recording gives obj with a recorded checksum of data.
func recording(obj manifest.Object, data []byte, alg manifest.SumAlg) manifest.Object {
	h := alg.New()
	_, _ = h.Write(data)
	obj.Checksums = string(alg) + ":" + hex.EncodeToString(h.Sum(nil))
	return obj
}

var recordable = []manifest.SumAlg{manifest.SumSHA256, manifest.SumMD5, manifest.SumCRC32C, manifest.SumCRC64NVME, manifest.SumCRC32}

// TestRecordedChecksums: the whole is checked against what the manifest records,
// whatever the source says of what it sends.
func TestRecordedChecksums(t *testing.T) {
	for _, size := range []int{1000, 300_000, 5<<20 + 4321} {
		data := content(7, size)
		bad := bytes.Clone(data)
		bad[size/2] ^= 4
		for _, alg := range recordable {
			s := newSource()
			c := open(t, options(t.TempDir(), s))
			obj := recording(s.put(ref(1), data), data, alg)
			s.vouch(obj.Ref, sumsOf(bad)) // of no meaning
			noErr(t, c.Warm(t.Context(), obj))
			if got := c.Inspect(obj); !got.Verified || got.Cached != obj.Size {
				t.Errorf("%s, %d bytes: got %+v, want it verified", alg, size, got)
			}
			if got := check(t, c, obj); got.Check != string(alg) || !got.OK() {
				t.Errorf("%s, %d bytes: got %+v", alg, size, got)
			}
			if s.stats != 0 {
				t.Errorf("%s, %d bytes: the source was asked for a checksum", alg, size)
			}
			other := recording(s.put(ref(2), bad), data, alg)
			s.vouch(other.Ref, sumsOf(bad))
			if err := c.Warm(t.Context(), other); manifest.KindOf(err) != manifest.KindCorrupt {
				t.Errorf("%s, %d bytes: other bytes: got %v, want KindCorrupt", alg, size, err)
			}
			if got := c.Inspect(other); got.Verified || got.Cached != 0 {
				t.Errorf("%s, %d bytes: got %+v, want nothing kept of other bytes", alg, size, got)
			}
			time.Sleep(60 * time.Millisecond)
			if _, err := c.ReadVerifiedAt(t.Context(), other, make([]byte, 10), 0); manifest.KindOf(err) != manifest.KindCorrupt {
				t.Errorf("%s, %d bytes: ReadVerifiedAt of other bytes: got %v, want KindCorrupt", alg, size, err)
			}
		}
	}
}

// TestChecksumsComeLater: an object that is known from a manifest without checksums
// is checked by those of another manifest.
func TestChecksumsComeLater(t *testing.T) {
	for name, wrong := range map[string]bool{"right": false, "wrong": true} {
		for _, restart := range []bool{false, true} {
			s, dir := newSource(), t.TempDir()
			c, err := cache.Open(options(dir, s))
			noErr(t, err)
			data := content(7, 5<<20)
			plain := s.put(ref(1), data)
			noErr(t, c.Warm(t.Context(), plain)) // no checksum is known: that is noted
			if c.Inspect(plain).Verified {
				t.Error("verified by nothing")
			}
			if restart {
				noErr(t, c.Close())
				c, err = cache.Open(options(dir, s))
				noErr(t, err)
			}
			of := data
			if wrong {
				of = content(8, 5<<20)
			}
			obj := recording(plain, of, manifest.SumCRC32C)
			_, err = c.ReadVerifiedAt(t.Context(), obj, make([]byte, 100), 1<<20)
			if wrong != (manifest.KindOf(err) == manifest.KindCorrupt) || wrong != (err != nil) {
				t.Errorf("%s checksum, restart %v: got %v", name, restart, err)
			}
			if got := c.Inspect(obj); got.Verified == wrong {
				t.Errorf("%s checksum, restart %v: got %+v", name, restart, got)
			}
			noErr(t, c.Close())
		}
	}
}
