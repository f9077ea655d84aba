package snapshot

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"hash"
	"runtime/debug"

	"github.com/pinfs/pinfs/manifest"
)

// pinsSize is what is kept of the hash over the pins, in bytes.
const pinsSize = 16

// teller computes what the header says of all files, in byte order of their paths:
// the artifact digest, the pins and the number of those unpinned.
//
// The pins are the first 16 bytes of a SHA-256 over those files of which more is
// recorded than their digest covers. Each adds these, as u32 length and text:
//
//	its path
//	its pin, if that is PinTime, or any when the digest is the reference itself
//	its checksums as Object has them
//	extra.source
//	the ID of its chunks
//
// and its size, i64. Without a file that adds one of them the pins are zero. Not
// among them are what the digest stands for (ETags, and version ids and
// generations with a digest of content), references, and sizes of other files: a
// change of them alone makes no new version, as with W&B.
type teller struct {
	digest   *manifest.Hasher
	h        hash.Hash
	some     bool // something was written to h
	unpinned int64
	text     []byte // reused
}

func newTeller() *teller { return &teller{digest: manifest.NewHasher(), h: sha256.New()} }

// file adds the current file of c.
func (t *teller) file(c *cursor) (err error) {
	if t.text, err = c.appendDigest(t.text[:0]); err != nil {
		return err
	}
	if err := t.digest.Add(string(c.path), string(t.text)); err != nil {
		return err
	}
	more, err := c.saysMore()
	if !more || err != nil {
		return err
	}
	e, err := c.entry()
	if err == nil {
		t.entry(e)
	}
	return err
}

// saysMore tells whether the current file can add to the pins or be unpinned.
func (c *cursor) saysMore() (more bool, err error) {
	defer c.s.guard(debug.SetPanicOnFault(true), &err)
	_, flags, err := c.s.blobOf(&c.node)
	return c.node.chunked || flags&blobRest != 0 || flags>>digestShift&digestMask == digestRef, err
}

func (t *teller) entry(e manifest.Entry) {
	o := e.Object()
	source, _ := e.Extra[manifest.ExtraSource].(string)
	pin := ""
	if o.Pin.Kind == manifest.PinTime || o.Pin.Kind != manifest.PinNone && e.Digest == e.Ref {
		pin = o.Pin.String()
	}
	id := ""
	if o.Chunks.Size > 0 {
		id = string(o.Chunks.ID[:])
	}
	if pin+o.Checksums+source+id != "" {
		t.write(e.Path, pin, o.Checksums, source, id)
		t.text = binary.LittleEndian.AppendUint64(t.text[:0], uint64(e.Size))
		t.h.Write(t.text)
	}
	if o.Pin.Kind == manifest.PinNone && e.Digest == e.Ref && readable(e.Ref) {
		t.unpinned++
	}
}

// readable tells a reference that a driver reads.
func readable(ref string) bool {
	source := manifest.SourceOf(ref)
	return source != manifest.SourceNone && source != manifest.SourceBlob
}

func (t *teller) write(fields ...string) {
	t.some = true
	for _, f := range fields {
		t.text = binary.LittleEndian.AppendUint32(t.text[:0], uint32(len(f)))
		t.text = append(t.text, f...)
		t.h.Write(t.text)
	}
}

func (t *teller) pins() (p [pinsSize]byte) {
	if t.some {
		copy(p[:], t.h.Sum(nil))
	}
	return p
}

// pinsText gives the pins in hex; "" for none.
func (h *header) pinsText() string {
	if h.pins == [pinsSize]byte{} {
		return ""
	}
	return hex.EncodeToString(h.pins[:])
}
