package snapshot

import (
	"bufio"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"math/bits"

	"github.com/pinfs/pinfs/manifest"
)

// chunkStore holds the digests of chunks in the order of Add, in memory up to a
// limit and beyond it in a file. Records have only their place in it.
type chunkStore struct {
	sp *spool
	s  *stream
}

func newChunkStore(dir string, limit int) *chunkStore {
	sp := newSpool(dir, limit)
	return &chunkStore{sp: sp, s: sp.stream()}
}

func (c *chunkStore) end() int64 { return c.s.size }

// add takes digests, in pieces so that the memory stays within its limit.
func (c *chunkStore) add(digests string) error {
	for len(digests) > 0 {
		n := min(len(digests), 64<<10)
		if _, err := c.s.Write([]byte(digests[:n])); err != nil {
			return err
		}
		digests = digests[n:]
	}
	return nil
}

func (c *chunkStore) Close() error { return c.sp.Close() }

// appendChunked adds the fields of a record with chunks.
func appendChunked(b []byte, c manifest.Chunks, at int64) []byte {
	b = binary.LittleEndian.AppendUint64(b, uint64(at))
	b = binary.LittleEndian.AppendUint64(b, uint64(len(c.Digests)))
	b = append(b, byte(bits.TrailingZeros64(uint64(c.Size))))
	return append(b, c.ID[:]...)
}

// levelChunked is a file with chunks in the stream of its level: u32 its place
// there, then the fields of its record.
const levelChunked = 4 + chunkedFields

// addChunked notes that the next node of the level has chunks.
func (t *tree) addChunked(depth int, fields []byte) error {
	l := t.level(depth)
	if l.chunked == nil {
		l.chunked = t.sp.stream()
	}
	t.chunked++
	var head [4]byte
	binary.LittleEndian.PutUint32(head[:], uint32(l.n))
	_, err := l.chunked.Write(append(head[:], fields...))
	return err
}

// writeChunks writes the records of files with chunks in the order of the nodes,
// then their digests in the same order.
func (t *tree) writeChunks(ctx context.Context) error {
	t.out.begin(sectionChunks)
	w := &chunkWriter{t: t, buf: make([]byte, 64<<10)}
	for _, write := range []func(first uint32, b []byte) error{w.record, w.digests} {
		if err := w.each(ctx, write); err != nil {
			return fmt.Errorf("write chunk digests: %w", err)
		}
	}
	t.out.end(sectionChunks, t.chunked)
	return nil
}

type chunkWriter struct {
	t   *tree
	off uint64 // of the next digests
	buf []byte
}

// each calls fn for all files with chunks; first is the index of the first node of
// the level.
func (w *chunkWriter) each(ctx context.Context, fn func(first uint32, b []byte) error) error {
	first := uint64(0)
	for _, l := range w.t.levels {
		if l.chunked != nil {
			if err := eachChunked(ctx, l.chunked, func(b []byte) error { return fn(uint32(first), b) }); err != nil {
				return err
			}
		}
		first += l.n
	}
	return nil
}

func eachChunked(ctx context.Context, s *stream, fn func(b []byte) error) error {
	r := bufio.NewReaderSize(s.reader(), bufferFor(s))
	var b [levelChunked]byte
	for i := 0; ; i++ {
		if i%4096 == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		if _, err := io.ReadFull(r, b[:]); err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
		if err := fn(b[:]); err != nil {
			return err
		}
	}
}

func (w *chunkWriter) record(first uint32, b []byte) error {
	le := binary.LittleEndian
	var rec [chunkedSize]byte
	le.PutUint32(rec[:], first+le.Uint32(b))
	rec[4] = b[20]
	le.PutUint64(rec[8:], w.off)
	copy(rec[16:], b[21:])
	w.off += le.Uint64(b[12:])
	_, err := w.t.out.Write(rec[:])
	return err
}

func (w *chunkWriter) digests(_ uint32, b []byte) error {
	at, n := int64(binary.LittleEndian.Uint64(b[4:])), int64(binary.LittleEndian.Uint64(b[12:]))
	for n > 0 {
		p := w.buf[:min(n, int64(len(w.buf)))]
		if err := w.t.chunks.s.readAt(p, at); err != nil {
			return err
		}
		if _, err := w.t.out.Write(p); err != nil {
			return err
		}
		at, n = at+int64(len(p)), n-int64(len(p))
	}
	return nil
}
