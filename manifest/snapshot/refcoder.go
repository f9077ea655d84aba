package snapshot

import (
	"encoding/binary"
	"errors"
)

// refCoder gives references their final form: prefixes are numbered anew in the
// order of the sorted entries, so that the order of Add can't be seen.
type refCoder struct {
	provisional []string
	final       []uint32 // by provisional number: 0 not seen yet, full, or number + 2
	table       *prefixTable
	path        []byte // reused
}

const (
	prefixNotSeen = 0
	prefixFull    = 1
	prefixBase    = 2
)

var errRecord = errors.New("a record of the builder is damaged")

func newRefCoder(provisional []string) *refCoder {
	return &refCoder{provisional: provisional, final: make([]uint32, len(provisional)), table: newPrefixTable()}
}

// appendFinal turns the blob of a record into that of the file.
func (c *refCoder) appendFinal(b, key, raw []byte) ([]byte, error) {
	r := &reader{b: raw}
	flags := r.uint16()
	mode := flags & refMask
	if mode == refNone || mode == refText {
		return append(b, raw...), nil
	}
	prefix, id, ok := c.prefix(r)
	if r.bad {
		return nil, errRecord
	}
	if ok {
		b = binary.LittleEndian.AppendUint16(b, flags)
		b = binary.AppendUvarint(b, uint64(id))
		return append(b, r.b...), nil
	}
	tail, ok := c.tail(r, mode, key)
	if !ok || r.bad {
		return nil, errRecord
	}
	b = binary.LittleEndian.AppendUint16(b, flags&^refMask|refText)
	b = binary.AppendUvarint(b, uint64(len(prefix)+len(tail)))
	b = append(append(b, prefix...), tail...)
	return append(b, r.b...), nil
}

// prefix reads the prefix of a record and gives its number, unless the table is full.
func (c *refCoder) prefix(r *reader) (prefix string, id uint32, ok bool) {
	n := r.uvarint()
	if n == 0 {
		prefix = string(r.text())
		id, ok = c.table.id(prefix)
		return prefix, id, ok
	}
	if n > uint64(len(c.provisional)) {
		r.bad = true
		return "", 0, false
	}
	prefix = c.provisional[n-1]
	known := &c.final[n-1]
	if *known == prefixNotSeen {
		*known = prefixFull
		if id, ok := c.table.id(prefix); ok {
			*known = id + prefixBase
		}
	}
	return prefix, *known - prefixBase, *known != prefixFull
}

// tail reads the tail of a record's reference.
func (c *refCoder) tail(r *reader, mode uint16, key []byte) ([]byte, bool) {
	if mode == refTail {
		return r.text(), true
	}
	c.path = append(c.path[:0], key...)
	for i, b := range c.path {
		if b == 0 {
			c.path[i] = '/'
		}
	}
	return pathFrom(c.path, r.uvarint())
}

// section gives the prefixes as their section.
func (t *prefixTable) section() []byte {
	b := make([]byte, 0, 4*(len(t.list)+1)+t.bytes)
	off := uint32(0)
	for _, p := range t.list {
		b = binary.LittleEndian.AppendUint32(b, off)
		off += uint32(len(p))
	}
	b = binary.LittleEndian.AppendUint32(b, off)
	for _, p := range t.list {
		b = append(b, p...)
	}
	return b
}
