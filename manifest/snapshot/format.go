package snapshot

import (
	"encoding/binary"
	"hash/crc32"

	"github.com/pinfs/pinfs/manifest"
)

const (
	magic         = "pinfsnap"
	formatVersion = 1

	pageSize     = 4096
	chunkShift   = 16
	chunkSize    = 1 << chunkShift
	nodeSize     = 40
	chunkedSize  = 48
	sectionSize  = 32
	sectionStart = 128
	crcOffset    = pageSize - 4
	maxSections  = (crcOffset - sectionStart) / sectionSize
	maxNodes     = 1<<32 - 1

	maxPrefixes    = 65536
	maxPrefixBytes = 16 << 20
	maxMeta        = 1 << 20
	maxBlob        = 16 << 20
	// maxDepth is the number of components that 4095 bytes can have.
	maxDepth = 2048
)

// Kinds of sections.
const (
	sectionNodes = iota + 1
	sectionNames
	sectionBlobs
	sectionPrefixes
	sectionMeta
	sectionCRCs
	sectionChunks // optional
	knownSections // one past the last
)

const sectionOptional = 1

// Flags of nodes.
const (
	flagDir = 1 << iota
	flagShadowed
	flagUnknownSize
	flagTime
	flagChunks
)

// span is where a section lies.
type span struct{ off, length, count uint64 }

// header is page 0.
type header struct {
	size   uint64
	nodes  uint64
	totals Summary
	digest [16]byte
	pins   [pinsSize]byte // zero: none
	crcCRC uint32
	// sections by kind; those a reader does not know are left out.
	sections [knownSections]span
}

// checksum is the CRC32C; the library makes its table once.
func checksum(b []byte) uint32 {
	return crc32.Checksum(b, crc32.MakeTable(crc32.Castagnoli))
}

// encode gives page 0; order is that of the sections in the file.
func (h *header) encode(order []int) []byte {
	p := make([]byte, pageSize)
	le := binary.LittleEndian
	copy(p, magic)
	le.PutUint32(p[8:], formatVersion)
	for i, v := range []uint64{
		h.size, h.nodes, uint64(h.totals.Files), uint64(h.totals.Dirs), uint64(h.totals.Bytes),
		uint64(h.totals.Shadowed), uint64(h.totals.UnknownSizes),
	} {
		le.PutUint64(p[16+8*i:], v)
	}
	le.PutUint32(p[72:], h.crcCRC)
	le.PutUint32(p[76:], uint32(len(order)))
	copy(p[80:], h.digest[:])
	copy(p[96:], h.pins[:])
	le.PutUint64(p[112:], uint64(h.totals.Unpinned))
	for i, kind := range order {
		s := p[sectionStart+i*sectionSize:]
		le.PutUint32(s, uint32(kind))
		if kind == sectionChunks {
			le.PutUint32(s[4:], sectionOptional)
		}
		le.PutUint64(s[8:], h.sections[kind].off)
		le.PutUint64(s[16:], h.sections[kind].length)
		le.PutUint64(s[24:], h.sections[kind].count)
	}
	le.PutUint32(p[crcOffset:], checksum(p[:crcOffset]))
	return p
}

// decodeHeader reads page 0 of a file of size bytes. Errors have no Ref yet.
func decodeHeader(p []byte, size uint64) (*header, *manifest.Error) {
	le := binary.LittleEndian
	if len(p) < pageSize || string(p[:8]) != magic {
		return nil, corrupt("not a snapshot")
	}
	if le.Uint32(p[crcOffset:]) != checksum(p[:crcOffset]) {
		return nil, corrupt("page 0 has a wrong checksum")
	}
	if v, flags := le.Uint32(p[8:]), le.Uint32(p[12:]); v != formatVersion || flags != 0 {
		return nil, tooNew("the snapshot's format")
	}
	h := &header{
		size: le.Uint64(p[16:]), nodes: le.Uint64(p[24:]), crcCRC: le.Uint32(p[72:]),
		digest: [16]byte(p[80:96]), pins: [pinsSize]byte(p[96:112]),
		totals: Summary{
			Files: int64(le.Uint64(p[32:])), Dirs: int64(le.Uint64(p[40:])), Bytes: int64(le.Uint64(p[48:])),
			Shadowed: int64(le.Uint64(p[56:])), UnknownSizes: int64(le.Uint64(p[64:])),
			Unpinned: int64(le.Uint64(p[112:])),
		},
	}
	if h.size != size {
		return nil, corrupt("the file's length is not the recorded one")
	}
	if err := h.decodeSections(p); err != nil {
		return nil, err
	}
	return h, h.check()
}

func (h *header) decodeSections(p []byte) *manifest.Error {
	le := binary.LittleEndian
	n := le.Uint32(p[76:])
	if n > maxSections {
		return corrupt("too many sections")
	}
	for i := range n {
		s := p[sectionStart+i*sectionSize:]
		kind, flags := le.Uint32(s), le.Uint32(s[4:])
		sp := span{le.Uint64(s[8:]), le.Uint64(s[16:]), le.Uint64(s[24:])}
		if sp.off < pageSize || sp.off > h.size || sp.length > h.size-sp.off {
			return corrupt("a section lies outside of the file")
		}
		switch {
		case kind > 0 && kind < knownSections:
			h.sections[kind] = sp
		case flags&sectionOptional == 0:
			return tooNew("a section of the snapshot")
		}
	}
	return nil
}

// check sees that the sections fit together. It reads none of them.
func (h *header) check() *manifest.Error {
	for kind := 1; kind < knownSections; kind++ {
		if h.sections[kind].off == 0 && kind != sectionChunks {
			return corrupt("a section is missing")
		}
	}
	crcs := h.sections[sectionCRCs]
	chunks := (crcs.off + chunkSize - 1) >> chunkShift
	prefixes := h.sections[sectionPrefixes]
	switch {
	case h.nodes == 0 || h.nodes > maxNodes || h.sections[sectionNodes].length != h.nodes*nodeSize:
		return corrupt("the number of nodes is wrong")
	case crcs.length != 4*chunks || crcs.off+crcs.length != h.size:
		return corrupt("the number of checksums is wrong")
	case prefixes.count > maxPrefixes || prefixes.length < 4*(prefixes.count+1):
		return corrupt("the number of prefixes is wrong")
	case h.sections[sectionMeta].length > maxMeta:
		return corrupt("the section meta is too long")
	case !goodChunked(h.sections[sectionChunks]):
		return corrupt("the number of files with chunk digests is wrong")
	}
	for kind := 1; kind < knownSections; kind++ {
		if s := h.sections[kind]; kind != sectionCRCs && s.off+s.length > crcs.off {
			return corrupt("a section has no checksums")
		}
	}
	return nil
}

func corrupt(msg string) *manifest.Error {
	return &manifest.Error{Kind: manifest.KindCorrupt, Op: "read snapshot", Msg: msg}
}

func tooNew(what string) *manifest.Error {
	return &manifest.Error{
		Kind: manifest.KindUnsupported, Op: "read snapshot",
		Msg: what + " is not known to this pinfs", Hint: "a newer pinfs made it: update",
	}
}
