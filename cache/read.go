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
	return c.readInto(ctx, tg, p, off, nil)
}

// readInto reads all of p, or an error. v, if it is not nil, may take the end of it.
func (c *Cache) readInto(ctx context.Context, tg target, p []byte, off int64, v *View) (int, error) {
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
		last := v
		if n+int(step) < len(p) {
			last = nil
		}
		w, err := c.readStep(ctx, o, p[n:n+int(step)], off+int64(n), last)
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
func (c *Cache) readStep(ctx context.Context, o *object, p []byte, off int64, v *View) (waited bool, err error) {
	for try := range maxTries {
		var st step
		disk := !c.health.bypassed() && try < maxTries-1
		if err := c.plan(ctx, o, &st, off, off+int64(len(p)), disk); err != nil {
			return waited, err
		}
		bad, w, err := c.readSegs(ctx, o, &st, p, off, v)
		waited = waited || w
		if err != nil || !bad {
			return waited, err
		}
	}
	return waited, &manifest.Error{Kind: manifest.KindOther, Op: op, Ref: o.Ref, Msg: "the cache disk keeps failing"}
}

// readSegs copies each segment; bad says that one on disk failed and was
// forgotten, or that its part ended before it came, so that a new plan fetches it.
// The last one stays where it is if v lends it.
func (c *Cache) readSegs(ctx context.Context, o *object, st *step, p []byte, off int64, v *View) (bad, waited bool, err error) {
	for i := range st.n {
		s := &st.segs[i]
		to := p[s.off-off : s.end-off]
		switch {
		case s.part == nil:
			bad = !c.readDisk(o, st, s, to) || bad
		case err != nil:
			c.release(s.part, s.end-s.off)
		default:
			waited = waited || !s.part.loaded.Load()
			lender := v
			if i < st.n-1 || bad {
				lender = nil // nothing may be waited for while it is lent
			}
			var again bool
			again, err = c.readPart(ctx, o, s, to, lender)
			bad = bad || again
		}
	}
	return bad, waited, err
}

// readPart waits for the bytes of s and copies them, or has v lend them. again says
// that its part ended without them, and that another may have them.
func (c *Cache) readPart(ctx context.Context, o *object, s *seg, to []byte, v *View) (again bool, err error) {
	err = s.part.wait(ctx, o.Object, s.end-s.part.off, c.o.StallTimeout, &c.n.arrived)
	if err == nil && v.lends(s) {
		v.take(s)
		return false, nil
	}
	defer c.release(s.part, s.end-s.off)
	if err == nil {
		s.part.copyTo(to, s.off)
		return false, nil
	}
	if err = o.about(err, s); err == nil || s.part.loaded.Load() && errors.Is(err, errDamaged) {
		return true, nil
	}
	return false, err
}

// readDisk reads s into p and checks every block that it touches.
func (c *Cache) readDisk(o *object, st *step, s *seg, p []byte) bool {
	for at := s.off; at < s.end; {
		n, bad := c.readFrom(o, st, s, p[at-s.off:], at)
		if bad >= 0 {
			c.lost(o, st.gen, bad)
			return false
		}
		at += n
	}
	return true
}

// lost forgets block b on disk, unless it is another object's by now.
func (c *Cache) lost(o *object, gen uint64, b int64) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.gen == gen {
		o.lost(b)
		c.writer.dirty(o)
	}
}

// readFrom reads from at on, whole blocks: through a scratch buffer, or straight
// into p when it wants all of them and there is none. bad is a block that failed,
// else -1.
func (c *Cache) readFrom(o *object, st *step, s *seg, p []byte, at int64) (n, bad int64) {
	first := at / BlockSize * BlockSize
	crcs := st.crcs[s.crc+int((first-s.off/BlockSize*BlockSize)/BlockSize):]
	run := min((s.end+BlockSize-1)/BlockSize*BlockSize, o.size) - first
	if !c.noDirect.Load() {
		if buf := c.scratch.get(run); buf != nil {
			defer c.scratch.put(buf)
			return c.readThrough(o, st.file, buf[:min(run, int64(len(buf)))], p, at, crcs)
		}
	}
	if whole := int64(len(p)) / BlockSize * BlockSize; at == first && (whole > 0 || int64(len(p)) == run) {
		if int64(len(p)) == run {
			whole = run
		}
		return whole, c.readRun(o, st.file, p[:whole], at, crcs)
	}
	buf := c.blocks.Get().(*[BlockSize]byte)
	defer c.blocks.Put(buf)
	return c.readThrough(o, st.file, buf[:blockLen(o.size, first/BlockSize)], p, at, crcs)
}

// readThrough fills buf from the beginning of at's block on, and p from that.
func (c *Cache) readThrough(o *object, f File, buf, p []byte, at int64, crcs []uint32) (n, bad int64) {
	first := at / BlockSize * BlockSize
	if bad = c.readRun(o, f, buf, first, crcs); bad >= 0 {
		return 0, bad
	}
	return int64(copy(p, buf[at-first:])), bad
}

// readRun reads whole blocks and checks each; bad is the first that failed, else -1.
func (c *Cache) readRun(o *object, f File, p []byte, off int64, crcs []uint32) (bad int64) {
	n, err := readContent(f, p, off)
	for at := 0; at < len(p); at += BlockSize {
		b, end := (off+int64(at))/BlockSize, min(at+BlockSize, len(p))
		switch {
		case end <= n && crc32.Checksum(p[at:end], castagnoli()) == crcs[at/BlockSize]:
			continue
		case end <= n:
			c.damaged(o, off+int64(at), errors.New("checksum differs"))
		case err == nil || errors.Is(err, io.EOF): // a shorter file: damage, no fault of the disk
			c.damaged(o, off+int64(at), io.ErrUnexpectedEOF)
		default:
			c.noteDisk(err)
		}
		return b
	}
	return -1
}

// damaged counts and logs a block that is not what was written.
func (c *Cache) damaged(o *object, off int64, err error) {
	if c.n.damaged.Add(1) <= maxDamageLogs {
		c.o.Logger.Warn("cached block damaged, fetching it again", "ref", o.Ref, "offset", off, "error", err)
	}
}

// maxDamageLogs keeps a rotten disk from filling the log.
const maxDamageLogs = 1000
