package chunks_test

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"

	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"github.com/pinfs/pinfs/manifest"
	"github.com/pinfs/pinfs/manifest/chunks"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// counting is the input of BLAKE3's published vectors: 0 to 250, again and again.
func counting(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i % 251)
	}
	return b
}

// TestVectors are those of BLAKE3's test_vectors.json.
func TestVectors(t *testing.T) {
	for n, want := range map[int]string{
		0:      "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262",
		1:      "2d3adedff11b61f14c886e35afa036736dcd87a74d27b5c1510225d0f592e213",
		1024:   "42214739f095a406f3fc83deb889744ac00df831c10daa55189b5d121c855af7",
		1025:   "d00278ae47eb27b34faecf67b4fe263f82d5412916c1ffd97c8cb7fb814b8444",
		102400: "bc3e3d41a1146b069abffad3c0d44860cf664390afce4d9661f7902e7943e085",
	} {
		if got := chunks.Digest(counting(n)); hex.EncodeToString(got[:]) != want {
			t.Errorf("%d bytes: got %x, want %s", n, got, want)
		}
	}
}

func TestSizeFor(t *testing.T) {
	for content, want := range map[int64]int64{
		manifest.SizeUnknown: 8 << 20, 0: 64 << 10, 1: 64 << 10, 64 << 20: 64 << 10, 64<<20 + 1: 128 << 10,
		1 << 30: 1 << 20, 8 << 30: 8 << 20, 8<<30 - 1: 8 << 20, 4<<30 + 1: 8 << 20, 4 << 30: 4 << 20, 1 << 40: 8 << 20, math.MaxInt64: 8 << 20,
	} {
		if got := chunks.SizeFor(content); got != want {
			t.Errorf("%d bytes: got chunks of %d, want %d", content, got, want)
		}
	}
}

// TestSizeForIsTheSmallest: a good size, and half of it would be too many chunks.
func TestSizeForIsTheSmallest(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		content := rapid.Int64Range(0, 1<<44).Draw(t, "content")
		size := chunks.SizeFor(content)
		if !chunks.GoodSize(size) {
			t.Fatalf("%d is no size of chunks", size)
		}
		if n := chunks.Count(content, size); n > 1024 && size < chunks.MaxSize {
			t.Fatalf("%d chunks of %d bytes", n, size)
		}
		if size > chunks.MinSize && chunks.Count(content, size/2) <= 1024 {
			t.Fatalf("chunks of %d bytes: half of it would do for %d", size, content)
		}
	})
}

// whole makes the chunks of b the plain way.
func whole(size int64, b []byte) manifest.Chunks {
	var digests []byte
	id := binary.LittleEndian.AppendUint64(nil, uint64(size))
	for len(b) > 0 {
		n := min(size, int64(len(b)))
		d := chunks.Digest(b[:n])
		digests, b = append(digests, d[:]...), b[n:]
	}
	return manifest.Chunks{Size: size, ID: chunks.Digest(append(id, digests...)), Digests: string(digests)}
}

func drawContent(t *rapid.T) ([]byte, int64) {
	size := rapid.SampledFrom([]int64{64 << 10, 128 << 10, 256 << 10}).Draw(t, "size")
	n := size*rapid.Int64Range(0, 4).Draw(t, "full") + rapid.SampledFrom([]int64{0, 1, 2, 1000, size - 1}).Draw(t, "rest")
	return counting(int(n)), size
}

// pieces calls fn with b in pieces of drawn lengths.
func pieces(t *rapid.T, b []byte, fn func(p []byte)) {
	for len(b) > 0 {
		n := min(len(b), rapid.SampledFrom([]int{1, 4096, 65535, 65536, 65537, 300_000}).Draw(t, "piece"))
		fn(b[:n])
		b = b[n:]
	}
}

func TestHasher(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b, size := drawContent(t)
		h := chunks.NewHasher(size)
		pieces(t, b, func(p []byte) {
			if n, err := h.Write(p); n != len(p) || err != nil {
				t.Fatalf("wrote %d of %d, %v", n, len(p), err)
			}
		})
		got := h.Chunks()
		if want := whole(size, b); got != want {
			t.Fatalf("got %x, want %x", got, want)
		}
		if err := chunks.Valid(got, int64(len(b))); err != nil {
			t.Fatal(err)
		}
	})
}

// TestHasherTakesAGoodSize: whatever it is told.
func TestHasherTakesAGoodSize(t *testing.T) {
	for size, want := range map[int64]int64{-1: 64 << 10, 0: 64 << 10, 65537: 128 << 10, 8 << 20: 8 << 20, 1 << 40: 8 << 20} {
		if got := chunks.NewHasher(size).Chunks().Size; got != want {
			t.Errorf("%d: got %d, want %d", size, got, want)
		}
	}
}

func TestValid(t *testing.T) {
	b := counting(200_000)
	good := whole(64<<10, b)
	other := func(change func(*manifest.Chunks)) manifest.Chunks {
		c := good
		change(&c)
		return c
	}
	for name, c := range map[string]struct {
		c    manifest.Chunks
		size int64
		why  string
	}{
		"size":    {other(func(c *manifest.Chunks) { c.Size = 65537 }), 200_000, "power of two"},
		"small":   {whole(32<<10, b), 200_000, "power of two"},
		"large":   {whole(16<<20, b), 200_000, "power of two"},
		"no size": {good, manifest.SizeUnknown, "no size"},
		"shorter": {good, 3 * 64 << 10, "digests"},
		"longer":  {good, 4*64<<10 + 1, "digests"},
		"cut":     {chunks.Of(64<<10, good.Digests[:100]), 200_000, "digests"},
		"id":      {other(func(c *manifest.Chunks) { c.ID[31] ^= 1 }), 200_000, "ID"},
		"digest":  {other(func(c *manifest.Chunks) { c.Digests = strings.Repeat("x", len(c.Digests)) }), 200_000, "ID"},
		"only id": {manifest.Chunks{ID: good.ID}, 200_000, "power of two"},
	} {
		if err := chunks.Valid(c.c, c.size); manifest.KindOf(err) != manifest.KindInvalid || !strings.Contains(fmt.Sprint(err), c.why) {
			t.Errorf("%s: got %v, want KindInvalid about %q", name, err, c.why)
		}
	}
	for name, err := range map[string]error{
		"none": chunks.Valid(manifest.Chunks{}, manifest.SizeUnknown), "good": chunks.Valid(good, 200_000), "empty": chunks.Valid(whole(64<<10, nil), 0),
	} {
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestCheck(t *testing.T) {
	b := counting(200_000)
	o := manifest.Object{Ref: "s3://b/k", Size: 200_000, Chunks: whole(64<<10, b)}
	for i := range int64(4) {
		if err := chunks.Check("read", o, i, b[i<<16:min((i+1)<<16, 200_000)]); err != nil {
			t.Errorf("chunk %d: %v", i, err)
		}
	}
	err := chunks.Check("read", o, 1, b[:64<<10])
	found, want := chunks.Digest(b[:64<<10]), o.Chunks.Digests[32:64]
	wantError(t, err, "read", "s3://b/k", "chunk 1 (bytes 65536 to 131072)", hex.EncodeToString([]byte(want)), hex.EncodeToString(found[:]))
	for _, i := range []int64{-1, 4, math.MaxInt64 >> 17} {
		wantError(t, chunks.Check("read", o, i, b[:10]), "no such chunk")
	}
}

func wantError(t testing.TB, err error, parts ...string) {
	t.Helper()
	var typed *manifest.Error
	if !errors.As(err, &typed) || typed.Kind != manifest.KindCorrupt {
		t.Fatalf("got %v, want KindCorrupt", err)
	}
	for _, part := range parts {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("%v: want it to say %q", err, part)
		}
	}
}

// TestChecker: any change of the content is found, and nothing else is.
func TestChecker(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		b, size := drawContent(rt)
		o := manifest.Object{Ref: "s3://b/k", Size: int64(len(b)), Chunks: whole(size, b)}
		got := bytes.Clone(b)
		change := rapid.SampledFrom([]string{"none", "flip", "cut", "longer"}).Draw(rt, "change")
		if len(b) == 0 && change != "longer" {
			change = "none"
		}
		switch change {
		case "flip":
			got[rapid.IntRange(0, len(b)-1).Draw(rt, "at")] ^= 1 << rapid.IntRange(0, 7).Draw(rt, "bit")
		case "cut":
			got = got[:rapid.IntRange(0, len(b)-1).Draw(rt, "length")]
		case "longer":
			got = append(got, 0)
		}
		c := chunks.NewChecker("verify", o)
		var failed error
		pieces(rt, got, func(p []byte) {
			n, err := c.Write(p)
			if (err == nil && n != len(p)) || (failed != nil && err == nil) {
				rt.Fatalf("wrote %d of %d: %v after %v", n, len(p), err, failed)
			}
			failed = err
		})
		err := c.End()
		if (err == nil) != (change == "none") || (failed != nil && err == nil) {
			rt.Fatalf("%s: got %v", change, err)
		}
		if err != nil {
			wantError(t, err, "verify", "s3://b/k")
		}
	})
}

func BenchmarkHasher(b *testing.B) {
	p := counting(8 << 20)
	h := chunks.NewHasher(chunks.MaxSize)
	b.SetBytes(int64(len(p)))
	for b.Loop() {
		if _, err := h.Write(p); err != nil {
			b.Fatal(err)
		}
	}
}
