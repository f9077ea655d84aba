package cache

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/pinfs/pinfs/manifest"
	"github.com/pinfs/pinfs/manifest/chunks"
)

// The chunk digests of an object cut it into pieces: the word is used here since
// the tables of blocks are called chunks in this package. Such an object is fetched
// in whole pieces, and each is compared with its digest before a byte of it is
// served or written. So what is here of it needs no other check, and it is verified
// as soon as it is complete.

// pieced tells whether t has chunk digests.
func (t target) pieced() bool { return t.Chunks.Size > 0 }

// piece is the number of the piece that holds the byte at off.
func (t target) piece(off int64) int64 { return off / t.Chunks.Size }

// checkPieces refuses an object whose digests are not those of its size, be it that
// somebody lost them on the way: nothing could be checked by them. Nor does it let in
// one that is larger than MaxObject.
func (t target) checkPieces() error {
	c := t.Chunks
	if t.size > MaxObject {
		return &manifest.Error{Kind: manifest.KindLimit, Op: op, Ref: t.Ref, Msg: "larger than 64 TiB"}
	}
	if !t.pieced() && c.Digests == "" {
		return nil
	}
	if chunks.GoodSize(c.Size) && int64(len(c.Digests)) == chunks.DigestSize*chunks.Count(t.size, c.Size) {
		return nil
	}
	return &manifest.Error{Kind: manifest.KindCorrupt, Op: op, Ref: t.Ref, Msg: "its chunk digests are not those of " + strconv.FormatInt(t.size, 10) + " bytes"}
}

// pieceError is a piece that is not what is recorded. Others may be right.
type pieceError struct {
	error
	at    int64 // in the part
	piece int64
}

// Unwrap gives the error that names the piece.
func (e *pieceError) Unwrap() error { return e.error }

// barePiece tells which piece err is about, -1 for the whole object, and what err
// is for others.
func barePiece(err error) (piece int64, bare error) {
	var bad *pieceError
	if errors.As(err, &bad) {
		return bad.piece, bad.error
	}
	return -1, err
}

// about gives the error that ended a part as the reader of s gets it; nil when a
// piece was wrong that s has nothing of.
func (o *object) about(err error, s *seg) error {
	piece, err := barePiece(err)
	if piece >= 0 && !o.whole() && (piece < o.piece(s.off) || piece > o.piece(s.end-1)) {
		return nil
	}
	return err
}

// receiveAll gets p's bytes; a piece that is wrong is fetched once more, with what
// comes behind it.
func (c *Cache) receiveAll(w *watch, o *object, p *part) error {
	last := int64(-1)
	for from := int64(0); ; {
		err := c.receive(w, o, p, from)
		var bad *pieceError
		if !errors.As(err, &bad) {
			return err
		}
		if bad.piece == last {
			c.n.mismatches.Add(1)
			return err
		}
		c.o.Logger.Warn("chunk differs, fetching it again", "ref", o.Ref, "error", bad.error)
		c.n.requests.Add(1)
		last, from = bad.piece, bad.at
		p.crc = p.crc[:from/BlockSize]
	}
}

// goodPieces checks the pieces of p that are complete with n bytes, and gives up to
// where they are right. Only its fetch calls it.
func (c *Cache) goodPieces(o *object, p *part, n int64) (int64, error) {
	for p.good < n {
		end := min(p.good+o.Chunks.Size, p.n)
		if end > n {
			break
		}
		piece := o.piece(p.off + p.good)
		if err := chunks.Check(op, o.Object, piece, p.buf[p.good:end]); err != nil {
			return p.good, &pieceError{err, p.good, piece}
		}
		p.good = end
	}
	return p.good, nil
}

// pieces gives the range of whole pieces to be fetched for block b, which somebody
// wants up to end: at least one, at most size bytes, and up to the first that is
// here, under way or known to be wrong. o.mu is held.
func (c *Cache) pieces(o *object, b, end, size int64, disk bool) (off, n int64) {
	step := o.Chunks.Size
	off = o.piece(b*BlockSize) * step
	n = min(max(end-off, size), max(c.maxPart, step))
	n = min((n+step-1)/step*step, o.size-off)
	for at := off + step; at < off+n; at += step {
		if o.find(at/BlockSize) != nil || o.pieceHere(at, disk) || c.failures.recall(o.key, o.piece(at)) != nil {
			return off, at - off
		}
	}
	return off, n
}

// pieceHere tells whether all blocks of the piece at off are on disk; o.mu is held.
func (o *object) pieceHere(off int64, disk bool) bool {
	for at := off; at < min(off+o.Chunks.Size, o.size); at += BlockSize {
		if _, ok := o.onDisk(at/BlockSize, disk); !ok {
			return false
		}
	}
	return true
}

// verifiedPieces notes that all of o is here and so verified; o.mu is held.
func (c *Cache) verifiedPieces(o *object) {
	if !o.has(flagVerified) {
		o.flags |= flagVerified
		c.writer.dirty(o)
	}
}

// checkPieced checks what is on disk of a pieced object: the blocks by their CRCs,
// and the pieces that are whole by their digests. A wrong piece is dropped.
func (c *Cache) checkPieced(ctx context.Context, o *object, l LocalCheck) (LocalCheck, error) {
	buf, err := c.budget.get(ctx, min(o.Chunks.Size, o.size))
	if err != nil {
		return l, waitError(ctx, o.Object)
	}
	defer c.budget.put(buf)
	damaged := int64(0)
	for off := int64(0); off < o.size; off += o.Chunks.Size {
		p := buf[:min(o.Chunks.Size, o.size-off)]
		here, bad, err := c.readPiece(ctx, o, p, off)
		if err != nil {
			return l, err
		}
		damaged += bad
		if !here {
			continue
		}
		l.Check = checkChunks
		if err := chunks.Check("check", o.Object, o.piece(off), p); err != nil {
			l.differs(err)
			c.dropPiece(ctx, o, off, err)
		}
	}
	if damaged > 0 && l.OK() {
		l.Check = string(manifest.SumCRC32C)
		l.Expected, l.Found = "blocks as they were written", fmt.Sprintf("%d damaged blocks of 64 KiB", damaged)
	}
	return l, nil
}

// checkChunks is LocalCheck.Check for chunk digests.
const checkChunks = "chunks"

func (l *LocalCheck) differs(err error) {
	var typed *manifest.Error
	if l.OK() && errors.As(err, &typed) {
		l.Expected, l.Found = typed.Expected, typed.Found
	}
}

// readPiece reads the piece at off from disk; here is false when some of it is not
// there. bad counts damaged blocks.
func (c *Cache) readPiece(ctx context.Context, o *object, p []byte, off int64) (here bool, bad int64, err error) {
	here = true
	for at := int64(0); at < int64(len(p)); at += BlockSize {
		if ctx.Err() != nil {
			return false, bad, waitError(ctx, o.Object)
		}
		if c.ctx.Err() != nil {
			return false, bad, errClosed
		}
		ok, err := c.checkBlock(o, (off+at)/BlockSize, p[at:min(at+BlockSize, int64(len(p)))])
		if errors.Is(err, errDamaged) {
			bad++
		}
		here = here && ok && err == nil
	}
	return here, bad, nil
}

// dropPiece forgets a piece on disk that is not what is recorded, though its blocks
// are as they were written, and tells who may have been served of it.
func (c *Cache) dropPiece(ctx context.Context, o *object, off int64, err error) {
	c.n.mismatches.Add(1)
	c.noteFailure(o.target, &pieceError{err, 0, o.piece(off)})
	o.mu.Lock()
	for at := off; at < min(off+o.Chunks.Size, o.size); at += BlockSize {
		o.lost(at / BlockSize)
	}
	o.flags &^= flagVerified
	c.writer.dirty(o)
	o.mu.Unlock()
	if c.o.OnMismatch != nil {
		c.o.OnMismatch(ctx, o.Object, err)
	}
}

// checkWhole compares a small object with its digests.
func checkWhole(obj manifest.Object, content []byte) error {
	k := chunks.NewChecker("check", obj)
	_, _ = k.Write(content) // End tells
	return k.End()
}
