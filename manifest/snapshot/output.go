package snapshot

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
)

const outputBuffer = 256 << 10 // a multiple of chunkSize

// output writes the file from page 1 on and keeps the CRCs of its chunks; page 0
// comes last.
type output struct {
	f     *os.File
	buf   []byte
	off   uint64 // of the end, buf included
	crcs  []uint32
	h     header
	order []int
	pad   error // a failed write of padding, told by the next call
}

var _ io.Writer = (*output)(nil)

func createOutput(path string) (*output, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, err
	}
	o := &output{f: f, buf: make([]byte, 0, outputBuffer), off: pageSize}
	o.buf = o.buf[:pageSize] // chunk 0 begins with page 0
	return o, nil
}

// abort removes the file.
func (o *output) abort() {
	o.f.Close()
	os.Remove(o.f.Name())
}

func (o *output) Write(p []byte) (int, error) {
	if o.pad != nil {
		return 0, o.pad
	}
	n := len(p)
	for len(p) > 0 {
		part := min(len(p), cap(o.buf)-len(o.buf))
		o.buf = append(o.buf, p[:part]...)
		o.off += uint64(part)
		p = p[part:]
		if len(o.buf) == cap(o.buf) {
			if err := o.flush(); err != nil {
				return 0, err
			}
		}
	}
	return n, nil
}

// flush writes the buffer, which begins with a chunk.
func (o *output) flush() error {
	start := o.off - uint64(len(o.buf))
	table := crc32.MakeTable(crc32.Castagnoli)
	for at := 0; at < len(o.buf); at += chunkSize {
		chunk := o.buf[at:min(at+chunkSize, len(o.buf))]
		if start == 0 && at == 0 {
			chunk = chunk[pageSize:]
		}
		o.crcs = append(o.crcs, crc32.Checksum(chunk, table))
	}
	if _, err := o.f.WriteAt(o.buf, int64(start)); err != nil {
		return err
	}
	o.buf = o.buf[:0]
	return nil
}

func (o *output) begin(kind int) {
	if over := o.off % 8; over != 0 {
		_, o.pad = o.Write(make([]byte, 8-over))
	}
	o.h.sections[kind].off = o.off
	o.order = append(o.order, kind)
}

func (o *output) end(kind int, count uint64) {
	o.h.sections[kind].length = o.off - o.h.sections[kind].off
	o.h.sections[kind].count = count
}

func (o *output) section(kind int, count uint64, p []byte) error {
	o.begin(kind)
	_, err := o.Write(p)
	o.end(kind, count)
	return err
}

// endSections writes the CRCs behind all other sections.
func (o *output) endSections() error {
	o.begin(sectionCRCs)
	if o.pad != nil {
		return o.pad
	}
	if len(o.buf) > 0 {
		if err := o.flush(); err != nil {
			return err
		}
	}
	raw := make([]byte, 0, 4*len(o.crcs))
	for _, c := range o.crcs {
		raw = binary.LittleEndian.AppendUint32(raw, c)
	}
	o.h.crcCRC = checksum(raw)
	if _, err := o.f.WriteAt(raw, int64(o.off)); err != nil {
		return err
	}
	o.off += uint64(len(raw))
	o.end(sectionCRCs, uint64(len(o.crcs)))
	o.h.size = o.off
	return nil
}

// finish digests what was written, writes page 0 and syncs.
func (o *output) finish(ctx context.Context) (Summary, error) {
	digest, err := o.digest(ctx)
	if err != nil {
		return Summary{}, fmt.Errorf("digest: %w", err)
	}
	raw, err := hex.DecodeString(digest)
	if err != nil || len(raw) != len(o.h.digest) {
		return Summary{}, errors.New("the manifest's digest is no MD5")
	}
	copy(o.h.digest[:], raw)
	if _, err := o.f.WriteAt(o.h.encode(o.order), 0); err != nil {
		return Summary{}, err
	}
	sum := o.h.totals
	sum.Digest, sum.Pins = digest, o.h.pinsText()
	if sum.SHA256, err = hashFile(ctx, o.f, int64(o.h.size)); err != nil {
		return Summary{}, err
	}
	return sum, o.seal()
}

// digest walks the snapshot as its readers will, and notes in the header what is
// to be said of its pins.
func (o *output) digest(ctx context.Context) (string, error) {
	s, err := mapFile(o.f, o.h.size)
	if err != nil {
		return "", err
	}
	defer s.Close()
	s.h = &o.h
	if err := s.loadCRCs(); err != nil {
		return "", err
	}
	t := newTeller()
	if err := s.tell(ctx, t); err != nil {
		return "", err
	}
	o.h.pins, o.h.totals.Unpinned = t.pins(), t.unpinned
	return t.digest.Sum(), nil
}

func (o *output) seal() error {
	if err := o.f.Chmod(0o444); err != nil {
		return err
	}
	if err := o.f.Sync(); err != nil {
		return err
	}
	return o.f.Close()
}

// hashFile gives the SHA-256 of the first size bytes of f, in hex.
func hashFile(ctx context.Context, f *os.File, size int64) (string, error) {
	h := sha256.New()
	buf := make([]byte, 1<<20)
	r := io.NewSectionReader(f, 0, size)
	for {
		if ctx.Err() != nil {
			return "", ctx.Err()
		}
		n, err := io.ReadFull(r, buf)
		h.Write(buf[:n])
		switch err {
		case nil:
		case io.EOF, io.ErrUnexpectedEOF:
			return hex.EncodeToString(h.Sum(nil)), nil
		default:
			return "", err
		}
	}
}
