package cache

import (
	"context"
	"errors"
	"hash/crc32"
	"io"

	"github.com/pinfs/pinfs/manifest"
)

// ReadAt reads len(p) bytes at off of obj, with the rules of io.ReaderAt: less
// than asked only at the end, with io.EOF, or with an error. It ends early when
// ctx does; the fetch that it waited for goes on. Errors are *manifest.Error:
// the source's own kinds, KindCorrupt or KindChanged for bytes that are not the
// recorded ones, KindTimeout when nothing moved.
func (c *Cache) ReadAt(ctx context.Context, obj manifest.Object, p []byte, off int64) (int, error) {
	return c.readAt(ctx, obj, p, off, c.readTarget)
}

// readAt does the rules of io.ReaderAt; read gets all of what it is asked for,
// or an error.
func (c *Cache) readAt(ctx context.Context, obj manifest.Object, p []byte, off int64,
	read func(ctx context.Context, tg target, p []byte, off int64) (int, error)) (int, error) {
	if err := c.enter(); err != nil {
		return 0, err
	}
	defer c.leave()
	tg, err := c.target(ctx, obj)
	if err != nil {
		return 0, err
	}
	if off < 0 {
		return 0, &manifest.Error{Kind: manifest.KindInvalid, Op: op, Ref: obj.Ref, Msg: "negative offset"}
	}
	if off >= tg.size {
		return 0, io.EOF
	}
	want := min(int64(len(p)), tg.size-off)
	n, err := read(ctx, tg, p[:want], off)
	if err == nil && want < int64(len(p)) {
		err = io.EOF
	}
	return n, err
}

func (c *Cache) target(ctx context.Context, obj manifest.Object) (target, error) {
	tg := target{Object: obj, key: obj.Key(), size: obj.Size}
	if obj.Size < 0 {
		var err error
		if tg.size, err = c.learnSize(ctx, tg); err != nil {
			return tg, err
		}
	}
	return tg, tg.checkPieces()
}

func (c *Cache) readTarget(ctx context.Context, tg target, p []byte, off int64) (int, error) {
	puts := c.puts.of(tg.key)
	if tg.small() && c.smallHit(tg.key, p, off) {
		c.n.hit(len(p))
		return len(p), nil
	}
	o := c.table.acquire(tg)
	defer c.table.release(o)
	o.missed(puts)
	waited := false
	for n := 0; n < len(p); {
		step := min(int64(len(p)-n), maxStep)
		w, err := c.readStep(ctx, o, p[n:n+int(step)], off+int64(n))
		if err == errHere {
			if !c.smallHit(tg.key, p, off) {
				continue // and gone again
			}
			err = nil
		}
		if err != nil {
			return n, err
		}
		waited = waited || w
		n += int(step)
	}
	c.n.read(len(p), waited)
	return len(p), nil
}

// maxStep is the most that is looked up at once; it spans maxSegs blocks.
const (
	maxStep = 1 << 20
	maxSegs = maxStep/BlockSize + 1
)

// step is where the bytes of one read are: in parts, or on disk.
type step struct {
	segs [maxSegs]seg
	n    int
	crcs [maxSegs]uint32
	file File
	gen  uint64
}

// seg is a run of bytes [off, end) of the object.
type seg struct {
	off, end int64
	part     *part // nil: on disk, in blocks whose CRCs begin at crcs[crc]
	crc      int
}

// maxTries bounds how often a read looks again after blocks on disk failed.
const maxTries = 8

// readStep reads all of p, at most maxStep. waited is false when all of it came
// from disk.
func (c *Cache) readStep(ctx context.Context, o *object, p []byte, off int64) (waited bool, err error) {
	for try := range maxTries {
		var st step
		disk := !c.health.bypassed() && try < maxTries-1
		if err := c.plan(ctx, o, &st, off, off+int64(len(p)), disk); err != nil {
			return waited, err
		}
		bad, w, err := c.readSegs(ctx, o, &st, p, off)
		waited = waited || w
		if err != nil || !bad {
			return waited, err
		}
	}
	return waited, &manifest.Error{Kind: manifest.KindOther, Op: op, Ref: o.Ref, Msg: "the cache disk keeps failing"}
}

// readSegs copies each segment; bad says that one on disk failed and was
// forgotten, or that its part ended before it came, so that a new plan fetches it.
func (c *Cache) readSegs(ctx context.Context, o *object, st *step, p []byte, off int64) (bad, waited bool, err error) {
	for i := range st.n {
		s := &st.segs[i]
		to := p[s.off-off : s.end-off]
		switch {
		case s.part == nil:
			bad = !c.readDisk(o, st, s, to) || bad
		case err == nil:
			waited = true
			if err = s.part.wait(ctx, o.Object, s.end-s.part.off, c.o.StallTimeout, &c.n.arrived); err == nil {
				s.part.copyTo(to, s.off)
			} else if err = o.about(err, s); err == nil {
				bad = true
			}
		}
		if s.part != nil {
			c.unref(s.part)
			c.linger.consumed(s.part, s.end-s.off)
		}
	}
	return bad, waited, err
}

// readDisk reads s into p and checks every block that it touches.
func (c *Cache) readDisk(o *object, st *step, s *seg, p []byte) bool {
	for at := s.off; at < s.end; {
		b := at / BlockSize
		n, ok := c.readRun(o, st, s, p[at-s.off:], at)
		if !ok {
			o.mu.Lock()
			if o.gen == st.gen {
				o.lost(b)
				c.writer.dirty(o)
			}
			o.mu.Unlock()
			return false
		}
		at += n
	}
	return true
}

// readRun reads from at on: the rest of a block through a buffer when p wants
// only a piece of it, else the whole block straight into p.
func (c *Cache) readRun(o *object, st *step, s *seg, p []byte, at int64) (int64, bool) {
	b := at / BlockSize
	crc := st.crcs[s.crc+int(b-s.off/BlockSize)]
	size := blockLen(o.size, b)
	if at == b*BlockSize && int64(len(p)) >= size {
		return size, c.checkRead(o, st.file, p[:size], at, crc)
	}
	buf := c.blocks.Get().(*[BlockSize]byte)
	defer c.blocks.Put(buf)
	if !c.checkRead(o, st.file, buf[:size], b*BlockSize, crc) {
		return 0, false
	}
	return int64(copy(p[:min(int64(len(p)), s.end-at)], buf[at-b*BlockSize:size])), true
}

func (c *Cache) checkRead(o *object, f File, p []byte, off int64, crc uint32) bool {
	n, err := f.ReadAt(p, off)
	if err != nil && (!errors.Is(err, io.EOF) || n < len(p)) {
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF // a shorter file: damage, no fault of the disk
			c.damaged(o, off, err)
			return false
		}
		c.noteDisk(err)
		return false
	}
	if got := crc32.Checksum(p, castagnoli()); got != crc {
		c.damaged(o, off, errors.New("checksum differs"))
		return false
	}
	return true
}

// damaged counts and logs a block that is not what was written.
func (c *Cache) damaged(o *object, off int64, err error) {
	if c.n.damaged.Add(1) <= maxDamageLogs {
		c.o.Logger.Warn("cached block damaged, fetching it again", "ref", o.Ref, "offset", off, "error", err)
	}
}

// maxDamageLogs keeps a rotten disk from filling the log.
const maxDamageLogs = 1000
