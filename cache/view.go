package cache

import (
	"context"

	"github.com/pinfs/pinfs/manifest"
)

// View is what a read got, without a copy of what lay in memory: Head, in the
// caller's buffer, and behind it Tail, which is lent. Either may be empty. Nobody
// changes Tail, and it stays as it is until Done.
type View struct {
	Head, Tail []byte
	c          *Cache
	part       *part // that Tail is of
}

// lendFrom is the least that is lent: less is sooner copied.
const lendFrom = 16 << 10

// View is ReadAt that lends the last bytes if they are in memory; the others are
// read into p. Done is to be called, whatever the error is. What is lent counts
// against the memory of fetches, and nothing is waited for while it is.
func (c *Cache) View(ctx context.Context, obj manifest.Object, p []byte, off int64) (v View, err error) {
	v.c = c
	n, err := c.readAt(ctx, obj, p, off, func(ctx context.Context, tg target, p []byte, off int64) (int, error) {
		return c.readInto(ctx, tg, p, off, &v)
	})
	v.Head = p[:n-len(v.Tail)]
	return v, err
}

// Done gives back what was lent. To be called once.
func (v *View) Done() {
	if v.part != nil {
		v.c.release(v.part, int64(len(v.Tail)))
	}
	*v = View{}
}

// lends tells whether the last segment of a read is lent instead of copied.
func (v *View) lends(s *seg) bool {
	return v != nil && s.part != nil && s.end-s.off >= lendFrom
}

// take lends s, whose use of its part the view takes over.
func (v *View) take(s *seg) {
	v.part, v.Tail = s.part, s.part.buf[s.off-s.part.off:s.end-s.part.off:s.end-s.part.off]
}

// release ends a reader's use of p, of which he had n bytes.
func (c *Cache) release(p *part, n int64) {
	c.unref(p)
	c.linger.consumed(p, n)
}
