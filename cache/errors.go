package cache

import (
	"container/list"
	"context"
	"errors"
	"strconv"
	"sync"
	"time"

	"github.com/pinfs/pinfs/manifest"
)

const op = "read"

var (
	errClosed = &manifest.Error{Kind: manifest.KindCanceled, Op: op, Msg: "the cache is closed"}
	errStall  = errors.New("no progress")
)

// sourceError keeps the kind of a source's error; one without gets its
// reference and the kind of its cause.
func sourceError(obj manifest.Object, err error) error {
	var typed *manifest.Error
	if errors.As(err, &typed) {
		return err
	}
	return &manifest.Error{Kind: manifest.KindOf(err), Op: op, Ref: obj.Ref, Err: err}
}

func stallError(obj manifest.Object, after time.Duration) error {
	return &manifest.Error{Kind: manifest.KindTimeout, Op: op, Ref: obj.Ref, Msg: "no progress for " + after.String()}
}

func waitError(ctx context.Context, obj manifest.Object) error {
	return &manifest.Error{Kind: manifest.KindOf(ctx.Err()), Op: op, Ref: obj.Ref, Err: ctx.Err()}
}

func sizeError(obj manifest.Object, got int64) error {
	return &manifest.Error{Kind: manifest.KindCorrupt, Op: op, Ref: obj.Ref, Msg: "size differs",
		Expected: strconv.FormatInt(obj.Size, 10), Found: strconv.FormatInt(got, 10)}
}

func shortError(obj manifest.Object, want, got int64) error {
	return &manifest.Error{Kind: manifest.KindUnreachable, Op: op, Ref: obj.Ref, Msg: "response ended early",
		Expected: strconv.FormatInt(want, 10) + " bytes", Found: strconv.FormatInt(got, 10)}
}

func longError(obj manifest.Object, want int64) error {
	return &manifest.Error{Kind: manifest.KindCorrupt, Op: op, Ref: obj.Ref, Msg: "response is too long",
		Expected: strconv.FormatInt(want, 10) + " bytes", Found: "more"}
}

// failures remembers the last error of an object: for a short while as the
// answer to further reads, longer for Inspect. Bounded, oldest out first.
type failures struct {
	mu    sync.Mutex
	items map[key]*list.Element
	order list.List // of *failure, newest first
}

type failure struct {
	key   key
	err   error
	piece int64 // that it is about; -1 for all of it
	until time.Time
}

const maxFailures = 4096

// lasting tells the kinds that another request soon after would only repeat.
func lasting(k manifest.Kind) bool {
	switch k {
	case manifest.KindGone, manifest.KindChanged, manifest.KindCorrupt, manifest.KindUnsupported:
		return true
	}
	return false
}

// note remembers err as the answer for ttl. first says that the object had no
// error of this kind before: the moment to log it.
func (f *failures) note(k key, err error, ttl time.Duration) (first bool) {
	piece, err := barePiece(err)
	until := time.Time{}
	if lasting(manifest.KindOf(err)) {
		until = time.Now().Add(ttl)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if e := f.items[k]; e != nil {
		old := e.Value.(*failure)
		first = manifest.KindOf(old.err) != manifest.KindOf(err)
		old.err, old.piece, old.until = err, piece, until
		f.order.MoveToFront(e)
		return first
	}
	if f.items == nil {
		f.items = map[key]*list.Element{}
	}
	f.items[k] = f.order.PushFront(&failure{key: k, err: err, piece: piece, until: until})
	if f.order.Len() > maxFailures {
		last := f.order.Back()
		delete(f.items, f.order.Remove(last).(*failure).key)
	}
	return true
}

// recall gives the error that still answers for a piece of k, or for all of it.
func (f *failures) recall(k key, piece int64) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	e := f.items[k]
	if e == nil {
		return nil
	}
	if old := e.Value.(*failure); time.Now().Before(old.until) && (old.piece < 0 || old.piece == piece) {
		return old.err
	}
	return nil
}

// last gives the last error of k, nil after a success.
func (f *failures) last(k key) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if e := f.items[k]; e != nil {
		return e.Value.(*failure).err
	}
	return nil
}

// forgetPieces is called when these pieces of k were fetched well.
func (f *failures) forgetPieces(k key, first, last int64) {
	f.mu.Lock()
	e := f.items[k]
	other := e != nil && e.Value.(*failure).piece >= 0 && (e.Value.(*failure).piece < first || e.Value.(*failure).piece > last)
	f.mu.Unlock()
	if !other {
		f.forget(k)
	}
}

// forget is called when k was fetched well.
func (f *failures) forget(k key) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if e := f.items[k]; e != nil {
		f.order.Remove(e)
		delete(f.items, k)
	}
}
