package backends

import (
	"context"
	"sync/atomic"

	"golang.org/x/sync/errgroup"
)

const (
	// TreeRequests is how many requests of one Tree are under way when it doesn't say.
	TreeRequests = 12
	// treeFolders is how many folders wait in one Tree: a few MB of names at most.
	treeFolders = 4096
)

// Ask is one request of a Tree.
type Ask struct {
	// Prefix is what names must begin with: "", or something with "/" at its end.
	Prefix string
	// Level asks for this level only: a name with another "/" behind the prefix
	// comes as a folder. Else all names come, as objects.
	Level bool
	// Token is Page.Next of the page before; "" for the first.
	Token string
}

// Page is the answer to an Ask. It may be empty and not the last.
type Page[T any] struct {
	Objects []T
	// Folders are full names, from the root of the bucket, with "/" at their end.
	Folders []string
	// Next is the token of the next page, "" for the last.
	Next string
}

// Tree lists a prefix of a source that gives names by pages, by prefix and by
// level. A prefix is first asked for flat, so that a small one costs one request.
// If it has more pages, and the first one shows large folders, it is asked for by
// level instead, and its folders are listed in the same way, several at once: that
// costs the first page again. Else it is listed flat to its end, each page fetched
// while the one before is worked on.
//
// Nothing is presumed about the order of names. In memory are two pages for each
// request that may be under way, and the names of waiting folders, which are
// bounded: a folder too many is listed flat by whoever found it.
type Tree[T any] struct {
	// URI is what errors call the whole.
	URI string
	// Page sends one request, several at once but for the first one, whose end is
	// waited for. It honours ctx, retries as it likes, and its error ends the listing.
	Page func(ctx context.Context, a Ask) (Page[T], error)
	// Name gives the full name of an object. Names that don't begin with what was
	// asked for are dropped, and so is one that is the last name of the page before.
	Name func(T) string
	// Limit is how many requests may be under way; 0 is TreeRequests.
	Limit int
}

// List calls fn for each object below prefix, one call at a time, in no promised
// order. It ends at the first error, of Page or of fn, and returns it as it is;
// KindCanceled and KindTimeout when ctx is done. No goroutine outlives it.
func (t Tree[T]) List(ctx context.Context, prefix string, fn func(T) error) error {
	inner, cancel := context.WithCancel(ctx)
	defer cancel()
	w := newWalk(inner, t)
	w.push(folder{prefix: prefix})
	var failed error
	go func() {
		defer close(w.ready)
		failed = w.group.Wait()
	}()
	err := w.give(ctx, cancel, fn)
	switch {
	case err != nil:
		return err
	case ctx.Err() != nil:
		return Ended(ctx, "list", t.URI)
	}
	return failed
}

// folder is a prefix that is still to be listed.
type folder struct {
	prefix string
	flat   bool // in any case
}

// walk is one call of List. Its goroutines are workers, at most Limit, and the
// requests that are under way: all are in group.
type walk[T any] struct {
	Tree[T]
	ctx   context.Context //nolint:containedctx // that of group, which ends with the call
	group *errgroup.Group
	slots chan struct{} // one for each request under way
	queue chan folder
	ready chan []T

	workers atomic.Int64
	pending atomic.Int64 // folders that are queued or worked on
}

func newWalk[T any](ctx context.Context, t Tree[T]) *walk[T] {
	if t.Limit <= 0 {
		t.Limit = TreeRequests
	}
	w := &walk[T]{Tree: t, slots: make(chan struct{}, t.Limit), queue: make(chan folder, treeFolders), ready: make(chan []T)}
	w.group, w.ctx = errgroup.WithContext(ctx)
	return w
}

// give calls fn for what is ready until there is no more; after an error it only
// waits for the end.
func (w *walk[T]) give(ctx context.Context, cancel func(), fn func(T) error) (err error) {
	for objects := range w.ready {
		for _, o := range objects {
			if err != nil || ctx.Err() != nil {
				break
			}
			if err = fn(o); err != nil {
				cancel()
			}
		}
	}
	return err
}

// push queues f, and sees to it that somebody takes it; false when the queue is full.
func (w *walk[T]) push(f folder) bool {
	w.pending.Add(1)
	select {
	case w.queue <- f:
	default:
		w.pending.Add(-1)
		return false
	}
	if w.workers.Add(1) > int64(w.Limit) {
		w.workers.Add(-1)
		return true
	}
	w.group.Go(w.work)
	return true
}

func (w *walk[T]) work() error {
	for {
		select {
		case <-w.ctx.Done():
			return nil
		case f, more := <-w.queue:
			if !more {
				return nil
			}
			if err := w.list(f); err != nil {
				return err
			}
			if w.pending.Add(-1) == 0 {
				close(w.queue)
			}
		}
	}
}
