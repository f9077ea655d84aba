package download

import "github.com/pinfs/pinfs/manifest"

// SumOf hashes data; nil for an algorithm that isn't known.
func SumOf(alg manifest.SumAlg, data string) []byte {
	h := alg.New()
	if h == nil {
		return nil
	}
	h.Write([]byte(data))
	return h.Sum(nil)
}

// PartWindow is how many parts of a file are under way at most.
const PartWindow = partWindow
