package snapshot

import (
	"bytes"
	"iter"

	"github.com/pinfs/pinfs/manifest"
)

// ChangeKind says how an entry differs.
type ChangeKind uint8

// The kinds of changes.
const (
	Added   ChangeKind = iota + 1 // in b only
	Removed                       // in a only
	Changed                       // in both, with different digests
)

// String gives the kind in lower case.
func (k ChangeKind) String() string {
	switch k {
	case Added:
		return "added"
	case Removed:
		return "removed"
	case Changed:
		return "changed"
	}
	return "unchanged"
}

// Change is a path whose entries differ.
type Change struct {
	Path string
	Kind ChangeKind
	// Old is zero when added, New when removed.
	Old, New manifest.Entry
}

// Diff gives the changes from a to b in byte order of their paths. Entries of one
// path differ when their digests do, which is W&B's meaning: it is what makes a
// new version. A pin or size that alone differs is no change. Memory does not grow
// with the snapshots. An error (KindCorrupt) is given last.
func Diff(a, b *Snapshot) iter.Seq2[Change, error] {
	return func(yield func(Change, error) bool) {
		d := &differ{a: newCursor(a), b: newCursor(b)}
		err := d.advance(true, true)
		for err == nil && (d.hasA || d.hasB) {
			c, differs, stepErr := d.step()
			if stepErr == nil && differs && !yield(c, nil) {
				return
			}
			err = stepErr
		}
		if err != nil {
			yield(Change{}, err)
		}
	}
}

// differ merges two cursors.
type differ struct {
	a, b       *cursor
	hasA, hasB bool
	da, db     []byte // digests, reused
}

func (d *differ) advance(a, b bool) (err error) {
	if a {
		if d.hasA, err = d.a.next(); err != nil {
			return err
		}
	}
	if b {
		d.hasB, err = d.b.next()
	}
	return err
}

// step takes the smaller path, or both when they are equal.
func (d *differ) step() (Change, bool, error) {
	order := 0
	switch {
	case !d.hasB:
		order = -1
	case !d.hasA:
		order = 1
	default:
		order = bytes.Compare(d.a.path, d.b.path)
	}
	c, differs, err := d.compare(order)
	if err != nil {
		return Change{}, false, err
	}
	return c, differs, d.advance(order <= 0, order >= 0)
}

func (d *differ) compare(order int) (c Change, differs bool, err error) {
	if order == 0 {
		if equal, err := d.equal(); equal || err != nil {
			return Change{}, false, err
		}
	}
	c.Kind = Changed
	if order <= 0 {
		c.Path = string(d.a.path)
		if c.Old, err = d.a.entry(); err != nil {
			return Change{}, false, err
		}
	} else {
		c.Kind = Added
	}
	if order >= 0 {
		c.Path = string(d.b.path)
		if c.New, err = d.b.entry(); err != nil {
			return Change{}, false, err
		}
	} else {
		c.Kind = Removed
	}
	return c, true, nil
}

func (d *differ) equal() (equal bool, err error) {
	if d.da, err = d.a.appendDigest(d.da[:0]); err != nil {
		return false, err
	}
	if d.db, err = d.b.appendDigest(d.db[:0]); err != nil {
		return false, err
	}
	return bytes.Equal(d.da, d.db), nil
}
