package manifest

import (
	"encoding/hex"
	"strings"
)

// recordable are the checksums of ExtraChecksums, the strongest first.
var recordable = [...]SumAlg{SumSHA256, SumMD5, SumCRC64NVME, SumCRC32C, SumCRC32}

// checksums gives e's recorded checksums as Object.Checksums has them; what is
// none of a known algorithm and length is left out.
func (e Entry) checksums() string {
	recorded, ok := e.Extra[ExtraChecksums].(map[string]any)
	if !ok {
		return ""
	}
	var parts []string
	for _, alg := range recordable {
		text, _ := recorded[string(alg)].(string)
		if raw, err := hex.DecodeString(text); err == nil && len(raw) == alg.Size() {
			parts = append(parts, string(alg)+":"+strings.ToLower(text))
		}
	}
	return strings.Join(parts, ",")
}

// Sums gives the checksums of Object.Checksums, the strongest first.
func (o Object) Sums() []Sum {
	if o.Checksums == "" {
		return nil
	}
	var sums []Sum
	for part := range strings.SplitSeq(o.Checksums, ",") {
		alg, text, _ := strings.Cut(part, ":")
		if raw, err := hex.DecodeString(text); err == nil {
			sums = append(sums, Sum{SumAlg(alg), raw})
		}
	}
	return sums
}

// ChecksumsExtra gives sums as the value of ExtraChecksums.
func ChecksumsExtra(sums []Sum) map[string]any {
	extra := make(map[string]any, len(sums))
	for _, sum := range sums {
		extra[string(sum.Alg)] = hex.EncodeToString(sum.Value)
	}
	return extra
}
