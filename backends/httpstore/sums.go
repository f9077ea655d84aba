package httpstore

import (
	"encoding/base64"
	"net/http"
	"strings"

	"github.com/pinfs/pinfs/manifest"
)

// sumsOf gives the checksums of the whole content that an answer tells:
//
//	Repr-Digest  of the whole, even in a part's answer (RFC 9530, 3): sha-256, md5, crc32c
//	Content-MD5  of what is sent (RFC 2616, 14.15), so not of a part's answer
func sumsOf(resp *http.Response) []manifest.Sum {
	var sums []manifest.Sum
	add := func(alg manifest.SumAlg, text string) {
		for _, s := range sums {
			if s.Alg == alg {
				return
			}
		}
		if raw, err := base64.StdEncoding.DecodeString(text); err == nil && len(raw) == alg.New().Size() {
			sums = append(sums, manifest.Sum{Alg: alg, Value: raw})
		}
	}
	for member := range strings.SplitSeq(strings.Join(resp.Header.Values("Repr-Digest"), ","), ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(member), "=:")
		value, _, whole := strings.Cut(value, ":")
		if alg, ok := digestAlg(name); ok && whole {
			add(alg, value)
		}
	}
	if resp.StatusCode == http.StatusOK {
		add(manifest.SumMD5, resp.Header.Get("Content-MD5"))
	}
	return sums
}

// digestAlg: the IANA registry of hash algorithms for HTTP digest fields.
func digestAlg(name string) (manifest.SumAlg, bool) {
	switch name {
	case "sha-256":
		return manifest.SumSHA256, true
	case "md5":
		return manifest.SumMD5, true
	case "crc32c":
		return manifest.SumCRC32C, true
	}
	return "", false
}
