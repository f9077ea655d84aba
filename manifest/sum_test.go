package manifest_test

import (
	"encoding/hex"
	"strings"
	"testing"

	"github.com/pinfs/pinfs/manifest"
)

// TestSumAlgorithms: the check values of each algorithm's specification for "123456789".
func TestSumAlgorithms(t *testing.T) {
	for alg, want := range map[manifest.SumAlg]string{
		manifest.SumMD5:       "25f9e794323b453885f5181f1b624d0b",
		manifest.SumCRC32:     "cbf43926",
		manifest.SumCRC32C:    "e3069283",
		manifest.SumCRC64NVME: "ae8b14860a799888",
		manifest.SumSHA256:    "15e2b0d3c33891ebb0f1ef609ec419420c20e320ce94c65fbc8c3312448eb225",
	} {
		h := alg.New()
		h.Write([]byte("123456789"))
		if got := hex.EncodeToString(h.Sum(nil)); got != want {
			t.Errorf("%s: got %s, want %s", alg, got, want)
		}
		if alg.Size() != h.Size() {
			t.Errorf("%s: size %d, want %d", alg, alg.Size(), h.Size())
		}
	}
	if manifest.SumAlg("rot13").New() != nil || manifest.SumAlg("rot13").Size() != 0 {
		t.Error("an unknown algorithm has a hash or a size")
	}
}

func TestCheckSum(t *testing.T) {
	sum := manifest.Sum{Alg: manifest.SumMD5, Value: []byte("0123456789abcdef")}
	for ref, want := range map[string]manifest.Kind{"file:///a/b": manifest.KindChanged, "s3://b/k": manifest.KindCorrupt} {
		o := manifest.Object{Ref: ref}
		if err := o.CheckSum("read", sum, sum.Value); err != nil {
			t.Errorf("%s: equal sums: %v", ref, err)
		}
		err := o.CheckSum("read", sum, []byte("fedcba9876543210"))
		if manifest.KindOf(err) != want || !strings.Contains(err.Error(), ref[7:]) {
			t.Errorf("%s: %v", ref, err)
		}
	}
}
