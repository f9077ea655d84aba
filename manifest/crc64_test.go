package manifest_test

import (
	"bytes"
	"hash/crc64"
	"math/rand/v2"
	"testing"

	"github.com/pinfs/pinfs/manifest"
)

// TestCRC64IsTheLibrarys: pieces of any length give what the library computes.
func TestCRC64IsTheLibrarys(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	table := crc64.MakeTable(0x9a6c9329ac4bc9b5)
	for range 200 {
		h, want := manifest.SumCRC64NVME.New(), crc64.New(table)
		for range rnd.IntN(5) {
			p := make([]byte, rnd.IntN(3000))
			for i := range p {
				p[i] = byte(rnd.Uint32())
			}
			_, _ = h.Write(p) // a hash never fails
			_, _ = want.Write(p)
		}
		if got, want := h.Sum([]byte{1}), want.Sum([]byte{1}); !bytes.Equal(got, want) {
			t.Fatalf("got %x, want %x", got, want)
		}
	}
}

// BenchmarkSum is what a small object costs to check.
func BenchmarkSum(b *testing.B) {
	data := make([]byte, 8<<10)
	for _, alg := range []manifest.SumAlg{manifest.SumCRC32C, manifest.SumCRC64NVME, manifest.SumMD5} {
		b.Run(string(alg), func(b *testing.B) {
			b.SetBytes(int64(len(data)))
			b.ReportAllocs()
			for b.Loop() {
				h := alg.New()
				_, _ = h.Write(data)
				_ = h.Sum(nil)
			}
		})
	}
}
