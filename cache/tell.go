package cache

import (
	"context"
	"slices"
	"sync"

	"github.com/pinfs/pinfs/manifest"
)

// tellers know how the sources tell checksums. S3 adds to each range the MD5 that an
// ETag is, and has a CRC, which costs nothing to compare, only for who asks for it
// (Stat); others have no more than they say at once.
type tellers struct {
	mu sync.Mutex
	by map[manifest.Source]*teller
}

// teller is one source.
type teller struct {
	alg  manifest.SumAlg // the CRC that it told last when it was asked
	vain int             // objects in a row for which it told none
}

// patience is for how many objects in a row a source is asked in vain; then it is
// asked for one of as many.
const patience = 16

// of gives the teller of src; t.mu is held. There are few sources.
func (t *tellers) of(src manifest.Source) *teller {
	if t.by == nil {
		t.by = map[manifest.Source]*teller{}
	}
	if t.by[src] == nil {
		t.by[src] = &teller{}
	}
	return t.by[src]
}

// worth tells whether src should be asked for a CRC of one more object.
func (t *tellers) worth(src manifest.Source) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := t.of(src)
	if s.vain < patience {
		return true
	}
	s.vain++
	return s.vain%patience == 0
}

// told notes what src told when it was asked.
func (t *tellers) told(src manifest.Source, alg manifest.SumAlg) {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := t.of(src)
	if alg.Joiner() != nil {
		s.alg, s.vain = alg, 0
		return
	}
	if s.vain++; s.vain >= patience {
		s.alg = ""
	}
}

// guess gives what src will tell, by what it told last; "" when nobody knows.
func (t *tellers) guess(src manifest.Source) manifest.SumAlg {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.of(src).alg
}

// sum is the checksum of the whole that is known without asking; o.mu is held.
func (o *object) sum() (manifest.Sum, bool) { return pickSum(o.recording(), o.sums) }

// recording is o with the checksums that any manifest records; o.mu is held.
func (o *object) recording() manifest.Object {
	obj := o.Object
	if obj.Checksums == "" {
		obj.Checksums = o.recorded
	}
	return obj
}

// unasked tells whether the source is still to be asked for what o is checked
// against: nothing is known, or only what needs all bytes in order, of an object that
// would be read back for that. o.mu is held.
func (c *Cache) unasked(o *object) bool {
	sum, ok := o.sum()
	if !ok || o.asked {
		return !o.asked
	}
	if o.whole() || sum.Alg.Joiner() != nil {
		return false
	}
	if _, recorded := o.recording().Sum(); recorded {
		return false
	}
	if !o.worth {
		o.worth = c.tellers.worth(manifest.SourceOf(o.Ref))
		o.asked = !o.worth
	}
	return o.worth
}

// wholeSum finds what the whole of o is checked against, asking the source if
// need be. An empty Alg: there is nothing.
func (c *Cache) wholeSum(ctx context.Context, o *object) (manifest.Sum, error) {
	o.mu.Lock()
	sum, ok := o.sum()
	ask := c.unasked(o)
	o.mu.Unlock()
	if !ask {
		return sum, nil
	}
	err := c.ask(ctx, o)
	if err != nil && (!ok || ctx.Err() != nil || manifest.KindOf(err) == manifest.KindCorrupt) {
		return manifest.Sum{}, err // else what it said before will do
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	sum, _ = o.sum()
	return sum, nil
}

// ask asks the source for what it knows of o, once for all who wait.
func (c *Cache) ask(ctx context.Context, o *object) error {
	answer := c.asking.DoChan("sum"+string(o.key[:]), func() (any, error) {
		w := c.watch()
		defer w.stop()
		d, err := c.o.Source.Stat(w.ctx, o.Object)
		c.tellers.told(manifest.SourceOf(o.Ref), cheapestOf(d.Sums).Alg)
		if err == nil {
			_ = c.heard(o, d) // before anybody asks again
		}
		return d, w.error(o.Object, err)
	})
	select {
	case r := <-answer:
		if r.Err != nil {
			return r.Err
		}
		return c.heard(o, r.Val.(Described)) // o may have left memory meanwhile, and come back
	case <-ctx.Done():
		return waitError(ctx, o.Object)
	}
}

// heard takes over what the source told of o when it was asked.
func (c *Cache) heard(o *object, d Described) error {
	err := c.described(o, d)
	if err == nil {
		o.noteAsked(true)
	}
	return err
}

func (o *object) noteAsked(asked bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.asked = asked
}

// asksMax is for how many objects at once the source is asked before it is needed.
const asksMax = 16

// askSoon asks the source for checksums before they are needed, once, when much of
// o is here. n bytes are about to be. o.mu is held.
func (c *Cache) askSoon(o *object, n int64) {
	if o.proof.asking || o.stored+n < min(proveFrom, o.size/2) || c.ctx.Err() != nil || !c.asks.TryAcquire(1) {
		return
	}
	o.proof.asking = true
	c.table.hold(o)
	c.wg.Go(func() {
		defer c.table.release(o)
		defer c.asks.Release(1)
		_, _ = c.wholeSum(c.ctx, o) // the check of the whole asks again
	})
}

// merge gives what told says, and of was what it says nothing of: an object at its
// pin has one checksum of each kind.
func merge(was, told []manifest.Sum) []manifest.Sum {
	all := told[:len(told):len(told)]
	for _, old := range was {
		if !slices.ContainsFunc(told, func(s manifest.Sum) bool { return s.Alg == old.Alg }) {
			all = append(all, old)
		}
	}
	return all
}
