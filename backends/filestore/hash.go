package filestore

import (
	"context"
	"hash"

	"golang.org/x/sys/unix"
)

// adviseSequential lets the kernel read further ahead; it is only advice.
func adviseSequential(fd int) { _ = unix.Fadvise(fd, 0, 0, unix.FADV_SEQUENTIAL) }

// hash gives the hash by h of f, which must stay as it was when it was opened. One
// piece is read while the one before is hashed.
func (s *Store) hash(ctx context.Context, op string, h hash.Hash, f *file) ([]byte, error) {
	h.Reset()
	ahead := s.ahead(ctx, op, f, 0)
	for pos := int64(0); ; {
		r := <-ahead
		if r.err != nil {
			return nil, r.err
		}
		c := r.value
		if !c.state.same(f.state) {
			c.free()
			return nil, changed(op, f.ref, f.state, c.state)
		}
		pos += int64(len(c.data))
		if !c.eof {
			ahead = s.ahead(ctx, op, f, pos)
		}
		_, _ = h.Write(c.data) // never fails, see hash.Hash
		end := c.eof
		c.free()
		if end {
			return h.Sum(nil), nil
		}
	}
}

// ahead reads the piece at pos in a goroutine, which always ends: see call.
func (s *Store) ahead(ctx context.Context, op string, f *file, pos int64) <-chan result[*chunk] {
	done := make(chan result[*chunk], 1)
	go func() {
		// Never less than a byte: the end is only known once it is seen.
		size := int(min(bufferSize, max(0, f.state.size-pos)+1))
		c, err := s.readAt(ctx, op, f, size, pos)
		done <- result[*chunk]{c, err}
	}()
	return done
}
