package cache

import (
	"context"
	"os"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"github.com/pinfs/pinfs/manifest"
)

// Loan is the content file of a complete object in the hands of somebody who reads
// it without the cache: the kernel. It is in use from Lend or Take on: the object
// is not evicted then. It rests from Rest on: eviction may take it. When the file
// is no longer the object's, the loan is revoked for good; the file is unlinked
// then, never cut, so who has it open reads on what it was.
type Loan struct {
	c       *Cache
	tg      target
	revoked func()
	dead    atomic.Bool
	o       *object // while in use
}

// lending knows the loans of this process, and which files may be lent: those of
// which every block was written or checked since the start, since nobody checks them
// later. What was written is not read back: it was right when it came.
type lending struct {
	queue chan target

	mu      sync.Mutex // guards all below
	loans   map[key]map[*Loan]struct{}
	checked map[key]struct{}
	queued  map[key]struct{}
}

const (
	lendQueue  = 64
	maxChecked = 1 << 16 // past it all is forgotten and checked once more: 32 bytes each
)

func newLending() *lending {
	return &lending{queue: make(chan target, lendQueue), loans: map[key]map[*Loan]struct{}{},
		checked: map[key]struct{}{}, queued: map[key]struct{}{}}
}

// Lend gives a loan of obj's file, in use, and the file, which the caller closes
// as soon as the kernel has it. nil when there is none now: not all of obj is here,
// it lives in the index (64 KiB and less), it was not verified (strict) or is still
// to be (what nobody knows a checksum of is never, and is lent unless strict), or
// its blocks were neither written nor yet checked in this process; that is begun
// then, as by Prepare. revoked is
// called once when the loan ends by itself: from any goroutine, under the cache's
// locks, so it must not wait or call the cache. Lend asks no source.
func (c *Cache) Lend(obj manifest.Object, strict bool, revoked func()) (*Loan, *os.File) {
	if c.enter() != nil {
		return nil, nil
	}
	defer c.leave()
	tg, ok := c.lendTarget(obj)
	if !ok {
		return nil, nil
	}
	o := c.table.acquire(tg)
	l, f := c.lend(o, strict, revoked)
	if l == nil {
		c.table.release(o)
	}
	return l, f
}

func (c *Cache) lend(o *object, strict bool, revoked func()) (*Loan, *os.File) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if !c.lendable(o, strict) || !c.lending.good(o.key) {
		c.askLoan(o)
		return nil, nil
	}
	f := o.lendFile()
	if f == nil {
		return nil, nil
	}
	l := &Loan{c: c, tg: o.target, revoked: revoked, o: o}
	c.lending.add(l)
	o.touch()
	return l, f
}

// Prepare begins what Lend needs of obj: the checks of a file that is complete. Bytes
// are asked for only where they came before and a slow disk did not take them.
func (c *Cache) Prepare(obj manifest.Object) {
	if c.enter() != nil {
		return
	}
	defer c.leave()
	tg, ok := c.lendTarget(obj)
	if !ok || c.lending.good(tg.key) {
		return
	}
	o := c.table.acquire(tg)
	defer c.table.release(o)
	o.mu.Lock()
	defer o.mu.Unlock()
	c.askLoan(o)
}

// Probe gives a file of the kind that Lend gives, whatever the cache holds.
func (c *Cache) Probe() (*os.File, error) { return os.Open(c.dir.join(formatName)) }

func (c *Cache) lendTarget(obj manifest.Object) (target, bool) {
	tg := target{Object: obj, key: obj.Key(), size: obj.Size}
	if tg.size < 0 {
		tg.size, _ = c.keptSize(tg.key)
	}
	return tg, tg.size > BlockSize && tg.checkPieces() == nil
}

// lendable tells whether o is complete and as much verified as it can be, every
// byte of which could be served from disk; o.mu is held.
func (c *Cache) lendable(o *object, strict bool) bool {
	if o.pass != nil || o.volatile || o.stored < o.size || c.health.bypassed() {
		return false
	}
	if o.has(flagVerified) {
		return o.pieced() || !strict && !o.gated() || c.allLearned(o)
	}
	return !strict && !o.gated() && o.has(flagNoSum)
}

// lendFile opens the content anew: o.file may be open in another way, and is
// closed when the cache likes. nil when that is no plain file of o's size; o.mu
// is held.
func (o *object) lendFile() *os.File {
	f, err := o.c.fs.OpenFile(o.path(), os.O_RDONLY, 0)
	if err != nil {
		o.c.noteDisk(ignoreAbsent(err))
		return nil
	}
	var st unix.Stat_t
	file, ok := f.(*os.File)
	if !ok || unix.Fstat(int(file.Fd()), &st) != nil || st.Size != o.size || st.Nlink == 0 {
		_ = f.Close() // nothing was read
		return nil
	}
	return file
}

// Take puts a resting loan to use; false when it was revoked.
func (l *Loan) Take() bool {
	if l.dead.Load() || l.c.enter() != nil {
		return false
	}
	defer l.c.leave()
	o := l.c.table.acquire(l.tg)
	if l.dead.Load() { // the evictor had it
		l.c.table.release(o)
		return false
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	l.o = o
	o.touch()
	return true
}

// Rest ends a use.
func (l *Loan) Rest() {
	o := l.o
	l.o = nil
	o.mu.Lock()
	o.touch()
	o.mu.Unlock()
	l.c.table.release(o)
}

// Close ends the loan, in use or not.
func (l *Loan) Close() {
	l.c.lending.remove(l)
	if l.o != nil {
		l.Rest()
	}
}

// Ready returns when all that the loan's readers can get is right as far as is
// known: blocks that turned out to be damaged are fetched again, into the same
// file. KindCorrupt: the loan was revoked; others as for Warm. It must be in use.
func (l *Loan) Ready(ctx context.Context) error {
	l.o.mu.Lock()
	whole := l.o.stored == l.o.size
	l.o.mu.Unlock()
	if !whole && !l.dead.Load() {
		if err := l.c.Warm(ctx, l.tg.Object); err != nil {
			return err
		}
	}
	if l.dead.Load() {
		return &manifest.Error{Kind: manifest.KindCorrupt, Op: "open", Ref: l.tg.Ref,
			Msg: "its cached bytes were dropped, and a program still has them open", Hint: "end that program"}
	}
	return nil
}

// good tells whether all blocks of k were written or checked since the start.
func (d *lending) good(k key) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	_, ok := d.checked[k]
	return ok
}

func (d *lending) add(l *Loan) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.loans[l.tg.key] == nil {
		d.loans[l.tg.key] = map[*Loan]struct{}{}
	}
	d.loans[l.tg.key][l] = struct{}{}
}

func (d *lending) remove(l *Loan) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.loans[l.tg.key], l)
	if len(d.loans[l.tg.key]) == 0 {
		delete(d.loans, l.tg.key)
	}
}

// revoke ends all loans of k: its file is going, or is gone.
func (d *lending) revoke(k key) {
	d.mu.Lock()
	loans := d.loans[k]
	delete(d.loans, k)
	delete(d.checked, k)
	for l := range loans {
		l.dead.Store(true)
	}
	d.mu.Unlock()
	for l := range loans {
		l.revoked()
	}
}
