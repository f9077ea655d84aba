package manifest_test

import (
	"testing"

	"pgregory.net/rapid"

	"github.com/pinfs/pinfs/manifest"
)

// number is the checksum of p, as a Joiner has it.
func number(alg manifest.SumAlg, p []byte) (n uint64) {
	h := alg.New()
	_, _ = h.Write(p)
	for _, b := range h.Sum(nil) {
		n = n<<8 | uint64(b)
	}
	return n
}

// TestJoin: the checksums of pieces, joined in any order of neighbours, are that of the whole.
func TestJoin(t *testing.T) {
	for _, alg := range []manifest.SumAlg{manifest.SumCRC32, manifest.SumCRC32C, manifest.SumCRC64NVME} {
		t.Run(string(alg), rapid.MakeCheck(func(t *rapid.T) {
			joiner, data := alg.Joiner(), random(rapid.IntRange(0, 70_000).Draw(t, "size"))
			a := rapid.IntRange(0, len(data)).Draw(t, "first cut")
			b := rapid.IntRange(a, len(data)).Draw(t, "second cut")
			one, two, three := number(alg, data[:a]), number(alg, data[a:b]), number(alg, data[b:])
			left := joiner.Join(joiner.Join(one, two, int64(b-a)), three, int64(len(data)-b))
			right := joiner.Join(one, joiner.Join(two, three, int64(len(data)-b)), int64(len(data)-a))
			if want := number(alg, data); left != want || right != want {
				t.Errorf("joined from the left %x, from the right %x, want %x", left, right, want)
			}
		}))
	}
}

// TestJoinRemembersNothingWrong: what was joined before is of no meaning, be it of
// the same length or of none.
func TestJoinRemembersNothingWrong(t *testing.T) {
	data := random(10_000)
	for _, alg := range []manifest.SumAlg{manifest.SumCRC32, manifest.SumCRC32C, manifest.SumCRC64NVME} {
		joiner := alg.Joiner()
		for _, n := range []int{0, 0, 1, 1, 4096, 4096, 0, 7} {
			p := data[:n]
			got := joiner.Join(number(alg, data), number(alg, p), int64(n))
			want := number(alg, append(data[:len(data):len(data)], p...))
			if got != want {
				t.Errorf("%s, %d bytes more: got %x, want %x", alg, n, got, want)
			}
		}
	}
}

func TestOnlyCRCsAreJoined(t *testing.T) {
	for _, alg := range []manifest.SumAlg{manifest.SumMD5, manifest.SumSHA256, "rot13"} {
		if alg.Joiner() != nil {
			t.Errorf("%s has a joiner", alg)
		}
	}
}
