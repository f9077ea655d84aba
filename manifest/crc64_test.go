package manifest_test

import (
	"hash"
	"hash/crc64"
	"math/rand/v2"
	"testing"

	"github.com/pinfs/pinfs/manifest"
)

// reference is the standard library's way to the same checksum.
func reference(p []byte) uint64 {
	return crc64.Checksum(p, crc64.MakeTable(0x9a6c9329ac4bc9b5))
}

func random(n int) []byte {
	p := make([]byte, n)
	rnd := rand.NewChaCha8([32]byte{byte(n)})
	_, _ = rnd.Read(p)
	return p
}

func nvme(p []byte) uint64 {
	h := manifest.SumCRC64NVME.New().(hash.Hash64)
	_, _ = h.Write(p)
	return h.Sum64()
}

func TestCRC64NVMEOfAnyLength(t *testing.T) {
	p := random(100_000)
	for _, n := range []int{0, 1, 7, 8, 9, 4095, 16383, 16384, 16385, 65536, 100_000} {
		if got, want := nvme(p[:n]), reference(p[:n]); got != want {
			t.Errorf("%d bytes: %x, want %x", n, got, want)
		}
	}
}

func TestCRC64NVMEInPieces(t *testing.T) {
	p, rnd := random(200_000), rand.New(rand.NewPCG(1, 2))
	h := manifest.SumCRC64NVME.New().(hash.Hash64)
	for at := 0; at < len(p); {
		n := min(rnd.IntN(40_000), len(p)-at)
		if got, err := h.Write(p[at : at+n]); got != n || err != nil {
			t.Fatalf("wrote %d: %v", got, err)
		}
		at += n
	}
	if got, want := h.Sum64(), reference(p); got != want {
		t.Errorf("%x, want %x", got, want)
	}
	if h.Reset(); h.Sum64() != 0 {
		t.Errorf("after Reset: %x", h.Sum64())
	}
}

// BenchmarkSum is what a small object costs to check.
func BenchmarkSum(b *testing.B) {
	data := make([]byte, 8<<10)
	for _, alg := range []manifest.SumAlg{manifest.SumCRC32, manifest.SumCRC32C, manifest.SumCRC64NVME, manifest.SumMD5} {
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
