package manifest

import (
	"crypto/md5"
	"encoding/hex"
	"hash"
)

// Hasher computes the digest of a manifest as W&B does: the MD5 of
// "wandb-artifact-manifest-v1\n" and then "<path>:<digest>\n" for each entry in
// byte order of its path. Memory does not grow with the number of entries.
type Hasher struct {
	md5  hash.Hash
	line []byte
	last string
	any  bool
}

// NewHasher gives a Hasher of the manifest without entries.
func NewHasher() *Hasher {
	h := &Hasher{md5: md5.New()}
	h.md5.Write([]byte("wandb-artifact-manifest-v1\n")) // never fails, see hash.Hash
	return h
}

// Add adds an entry. Paths must come in byte order, each once; KindInvalid if
// not, and then the entry is not added.
func (h *Hasher) Add(path, digest string) error {
	if h.any && path <= h.last {
		return h.outOfOrder(path)
	}
	h.last, h.any = path, true
	h.line = append(h.line[:0], path...)
	h.line = append(h.line, ':')
	h.line = append(h.line, digest...)
	h.line = append(h.line, '\n')
	h.md5.Write(h.line)
	return nil
}

func (h *Hasher) outOfOrder(path string) error {
	e := &Error{Kind: KindInvalid, Op: "digest manifest", Ref: quotePath(path), Msg: "path comes after " + quotePath(h.last)}
	if path == h.last {
		e.Msg = "path occurs twice"
	}
	return e
}

// Sum gives the digest of the entries so far: 32 hex digits in lower case.
func (h *Hasher) Sum() string { return hex.EncodeToString(h.md5.Sum(nil)) }
