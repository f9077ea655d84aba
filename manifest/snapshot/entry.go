package snapshot

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"runtime/debug"
	"strconv"
	"time"

	"github.com/pinfs/pinfs/manifest"
)

// Entry gives the entry of the file i as it was added: numbers in Extra are
// json.Number, ModTime is in UTC. KindInvalid when i is no file, KindCorrupt.
func (s *Snapshot) Entry(i uint32) (e manifest.Entry, err error) {
	defer s.guard(debug.SetPanicOnFault(true), &err)
	n, path, err := s.file(i)
	if err != nil {
		return manifest.Entry{}, err
	}
	return s.entry(&n, path)
}

// Object gives the object of the file i, its Size being that of Node: unknown when
// a recorded 0 may mean that. KindInvalid when i is no file, KindCorrupt.
func (s *Snapshot) Object(i uint32) (o manifest.Object, err error) {
	defer s.guard(debug.SetPanicOnFault(true), &err)
	n, path, err := s.file(i)
	if err != nil {
		return manifest.Object{}, err
	}
	e, err := s.entry(&n, path)
	if err != nil {
		return manifest.Object{}, err
	}
	o = e.Object()
	o.Size = n.Size
	return o, nil
}

func (s *Snapshot) file(i uint32) (n Node, path []byte, err error) {
	if err := s.node(i, &n); err != nil {
		return Node{}, nil, err
	}
	if n.Dir {
		return Node{}, nil, s.invalid(fmt.Sprintf("node %d is a directory", i))
	}
	path, err = s.appendPath(nil, i)
	return n, path, err
}

// blobOf gives the blob of a file, read up to its flags.
func (s *Snapshot) blobOf(n *Node) (*reader, uint16, error) {
	raw, err := s.section(sectionBlobs, n.blob, uint64(n.length))
	if err != nil {
		return nil, 0, err
	}
	r := &reader{b: raw}
	flags := r.uint16()
	if flags&blobMark == 0 {
		return nil, 0, s.badBlob()
	}
	return r, flags, nil
}

func (s *Snapshot) badBlob() error { return s.corrupt("an entry is damaged") }

// entry decodes the entry of n, whose path is given.
func (s *Snapshot) entry(n *Node, path []byte) (manifest.Entry, error) {
	r, flags, err := s.blobOf(n)
	if err != nil {
		return manifest.Entry{}, err
	}
	rec, err := s.record(n.Index)
	if err != nil {
		return manifest.Entry{}, err
	}
	e := manifest.Entry{Path: string(path), Size: int64(binary.LittleEndian.Uint64(rec))}
	prefix, tail, err := s.ref(r, flags, path)
	if err != nil {
		return manifest.Entry{}, err
	}
	e.Ref = string(prefix) + string(tail)
	e.Digest = digestString(r, flags, e.Ref)
	if err := readExtra(r, flags, &e); err != nil {
		return manifest.Entry{}, s.badBlob()
	}
	if rec[22]&flagTime != 0 {
		e.ModTime = time.Unix(0, n.ModTime).UTC()
	}
	if flags&blobWide != 0 {
		sec := r.varint()
		e.ModTime = time.Unix(sec, int64(r.uvarint())).UTC()
	}
	if r.bad || len(r.b) != 0 {
		return manifest.Entry{}, s.badBlob()
	}
	if n.chunked {
		e.Chunks, err = s.chunks(n.Index, e.Size)
	}
	return e, err
}

// ref reads a reference in its two parts.
func (s *Snapshot) ref(r *reader, flags uint16, path []byte) (prefix, tail []byte, err error) {
	mode := flags >> refShift & refMask
	if mode == refNone {
		return nil, nil, nil
	}
	if mode == refText {
		return nil, r.text(), nil
	}
	if prefix, err = s.prefix(r.uvarint()); err != nil {
		return nil, nil, err
	}
	if mode == refTail {
		return prefix, r.text(), nil
	}
	tail, ok := pathFrom(path, r.uvarint())
	if !ok {
		return nil, nil, s.badBlob()
	}
	return prefix, tail, nil
}

// prefix gives a prefix of references.
func (s *Snapshot) prefix(id uint64) ([]byte, error) {
	count := s.h.sections[sectionPrefixes].count
	if id >= count {
		return nil, s.badBlob()
	}
	raw, err := s.section(sectionPrefixes, 4*id, 8)
	if err != nil {
		return nil, err
	}
	from, to := binary.LittleEndian.Uint32(raw), binary.LittleEndian.Uint32(raw[4:])
	if from > to {
		return nil, s.corrupt("the prefixes are out of order")
	}
	return s.section(sectionPrefixes, 4*(count+1)+uint64(from), uint64(to-from))
}

func digestString(r *reader, flags uint16, ref string) string {
	switch flags >> digestShift & digestMask {
	case digestRef:
		return ref
	case digestText:
		return string(r.text())
	}
	var buf [96]byte
	return string(appendDigestText(buf[:0], r, flags))
}

// appendDigestText adds any digest that is not the reference.
func appendDigestText(b []byte, r *reader, flags uint16) []byte {
	switch flags >> digestShift & digestMask {
	case digestNone:
	case digestText:
		b = append(b, r.text()...)
	case digestHex:
		b = hex.AppendEncode(b, r.take(16))
	case digestParts:
		b = append(hex.AppendEncode(b, r.take(16)), '-')
		b = strconv.AppendUint(b, r.uvarint(), 10)
	case digestB64:
		b = base64.StdEncoding.AppendEncode(b, r.take(16))
	case digestHex32:
		b = hex.AppendEncode(b, r.take(32))
	default:
		r.bad = true
	}
	return b
}

// readExtra reads what follows the digest, but for the time.
func readExtra(r *reader, flags uint16, e *manifest.Entry) error {
	tag, hasTag := readETag(r, flags, e.Digest)
	version := readVersion(r, flags)
	if flags&blobRest != 0 {
		d := json.NewDecoder(bytes.NewReader(r.text()))
		d.UseNumber()
		if err := d.Decode(&e.Extra); err != nil {
			return err
		}
	}
	if e.Extra == nil && (hasTag || version != nil || flags&blobEmptyExtra != 0) {
		e.Extra = make(map[string]any, 2)
	}
	if hasTag {
		e.Extra[manifest.ExtraETag] = tag
	}
	if version != nil {
		e.Extra[manifest.ExtraVersion] = version
	}
	if flags&blobBirth != 0 {
		e.BirthArtifactID = string(r.text())
	}
	e.SkipCache = flags&blobSkip != 0
	return nil
}

func readETag(r *reader, flags uint16, digest string) (string, bool) {
	switch flags >> etagShift & etagMask {
	case etagDigest:
		return digest, true
	case etagQuoted:
		return `"` + digest + `"`, true
	case etagText:
		return string(r.text()), true
	}
	return "", false
}

// readVersion gives nil when there is none.
func readVersion(r *reader, flags uint16) any {
	switch flags >> versionShift & versionMask {
	case versionNone:
		return nil
	case versionText:
		return string(r.text())
	case versionUUID:
		if raw := r.take(16); raw != nil {
			return string(appendUUIDText(nil, raw))
		}
	case versionNumber:
		return json.Number(strconv.FormatUint(r.uvarint(), 10))
	case versionPacked:
		n := int(r.byte())
		if raw := r.take(uint64(packedSize(n))); raw != nil {
			return string(appendUnpacked(nil, raw, n))
		}
	default:
		r.bad = true
	}
	return nil
}
