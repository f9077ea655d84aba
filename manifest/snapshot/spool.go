package snapshot

import (
	"fmt"
	"io"
	"os"
)

// spool holds streams of bytes in memory up to a limit, and beyond it in one file
// that has no name.
type spool struct {
	dir      string
	limit    int // bytes in memory, all streams together
	held     int
	file     *os.File // nil until something is spilled
	end      int64
	streams  []*stream
	spillErr error
}

type extent struct{ off, length int64 }

// stream is written to its end, then read once or more.
type stream struct {
	sp      *spool
	spilled []extent
	buf     []byte
	size    int64
}

func newSpool(dir string, limit int) *spool { return &spool{dir: dir, limit: limit} }

func (sp *spool) stream() *stream {
	s := &stream{sp: sp}
	sp.streams = append(sp.streams, s)
	return s
}

// Close frees the memory and the disk.
func (sp *spool) Close() error {
	sp.streams, sp.held = nil, 0
	if sp.file == nil {
		return nil
	}
	f := sp.file
	sp.file = nil
	return f.Close()
}

func (s *stream) Write(p []byte) (int, error) {
	before := cap(s.buf)
	s.buf = append(s.buf, p...)
	s.size += int64(len(p))
	s.sp.held += cap(s.buf) - before
	if s.sp.held > s.sp.limit {
		if err := s.sp.spill(); err != nil {
			return 0, err
		}
	}
	return len(p), nil
}

// spill moves all that is in memory to the file.
func (sp *spool) spill() error {
	if sp.spillErr == nil {
		sp.spillErr = sp.spillAll()
	}
	return sp.spillErr
}

func (sp *spool) spillAll() error {
	if err := sp.open(); err != nil {
		return fmt.Errorf("make a spill file: %w", err)
	}
	for _, s := range sp.streams {
		if len(s.buf) == 0 {
			continue
		}
		if err := sp.append(s, s.buf); err != nil {
			return err
		}
		s.buf = nil
	}
	sp.held = 0
	return nil
}

// append writes p behind the file's end as a part of s.
func (sp *spool) append(s *stream, p []byte) error {
	if _, err := sp.file.WriteAt(p, sp.end); err != nil {
		return fmt.Errorf("spill to %s: %w", sp.dir, err)
	}
	n := int64(len(p))
	if last := len(s.spilled) - 1; last >= 0 && s.spilled[last].off+s.spilled[last].length == sp.end {
		s.spilled[last].length += n
	} else {
		s.spilled = append(s.spilled, extent{sp.end, n})
	}
	sp.end += n
	return nil
}

// open makes the file and takes its name away at once.
func (sp *spool) open() error {
	if sp.file != nil {
		return nil
	}
	f, err := os.CreateTemp(sp.dir, ".pinfs-spill-*")
	if err != nil {
		return err
	}
	if err := os.Remove(f.Name()); err != nil {
		f.Close()
		return err
	}
	sp.file = f
	return nil
}

// reader reads s from its start. s must not be written any more.
func (s *stream) reader() *streamReader { return &streamReader{s: s} }

type streamReader struct {
	s    *stream
	part int   // extent, or len(spilled) for what is in memory
	off  int64 // in it
}

var _ io.Reader = (*streamReader)(nil)

func (r *streamReader) Read(p []byte) (int, error) {
	for r.part < len(r.s.spilled) {
		x := r.s.spilled[r.part]
		if r.off == x.length {
			r.part, r.off = r.part+1, 0
			continue
		}
		n, err := r.s.sp.file.ReadAt(p[:min(int64(len(p)), x.length-r.off)], x.off+r.off)
		r.off += int64(n)
		if n > 0 {
			return n, nil
		}
		return 0, fmt.Errorf("read what was spilled: %w", err)
	}
	if r.off == int64(len(r.s.buf)) {
		return 0, io.EOF
	}
	n := copy(p, r.s.buf[r.off:])
	r.off += int64(n)
	return n, nil
}

// readAt fills p from off on. s must not be written any more.
func (s *stream) readAt(p []byte, off int64) error {
	for _, x := range s.spilled {
		if off < x.length && len(p) > 0 {
			part := p[:min(int64(len(p)), x.length-off)]
			if _, err := s.sp.file.ReadAt(part, x.off+off); err != nil {
				return fmt.Errorf("read what was spilled: %w", err)
			}
			p, off = p[len(part):], x.length
		}
		off -= x.length
	}
	if off+int64(len(p)) > int64(len(s.buf)) && len(p) > 0 {
		return io.ErrUnexpectedEOF
	}
	copy(p, s.buf[min(off, int64(len(s.buf))):])
	return nil
}
