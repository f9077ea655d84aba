package memstore

import (
	"context"
	"io"
	"sync/atomic"
	"time"

	"github.com/pinfs/pinfs/backends"
	"github.com/pinfs/pinfs/manifest"
)

// Request is one request as a Hook sees it.
type Request struct {
	Op     string          // "list", "stat" or "open"
	URI    string          // as the caller wrote it
	Object manifest.Object // zero for list
	// Offset and Length are those of Open; Length is -1 to the end.
	Offset, Length int64
	// N counts the requests of this store, from 1.
	N int64
}

// Hook sees every request before it is answered and says what goes wrong. It is
// called from many goroutines and may block until ctx ends.
type Hook func(ctx context.Context, r Request) Fault

// Fault is what goes wrong with a request; the zero value is nothing.
type Fault struct {
	// Delay comes before the answer; Forever never ends, but by the context.
	Delay time.Duration
	// Err is the answer.
	Err error
	// Info changes what is said of the object, its size for example.
	Info func(*backends.Info)
	// Body changes what is sent of it.
	Body func(ctx context.Context, r io.Reader) io.Reader
}

// Forever is a Delay that only the context ends.
const Forever time.Duration = 1<<63 - 1

// SetHook makes h see every request from now on; nil ends that.
func (s *Store) SetHook(h Hook) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hook = h
}

// First gives f to the first n requests of any kind, nothing to later ones.
func First(n int64, f Fault) Hook {
	var seen atomic.Int64
	return func(context.Context, Request) Fault {
		if seen.Add(1) > n {
			return Fault{}
		}
		return f
	}
}

// Only lets h see the requests of one Op.
func Only(op string, h Hook) Hook {
	return func(ctx context.Context, r Request) Fault {
		if r.Op != op {
			return Fault{}
		}
		return h(ctx, r)
	}
}

// Always gives f to each request.
func Always(f Fault) Hook {
	return func(context.Context, Request) Fault { return f }
}

// SlowDown is the fault of a source that asks for a pause; 0 asks without saying
// how long.
func SlowDown(pause time.Duration) Fault {
	return Fault{Err: backends.Throttled("read", "mem://", pause, nil)}
}

func (f Fault) edit(info backends.Info) backends.Info {
	if f.Info != nil {
		f.Info(&info)
	}
	return info
}

// begin counts a request and lets the hook have it.
func (s *Store) begin(ctx context.Context, r Request) (Fault, error) {
	hook, closed := s.count(&r)
	if err := backends.Ended(ctx, r.Op, r.URI); err != nil {
		return Fault{}, err
	}
	if closed {
		return Fault{}, &manifest.Error{Kind: manifest.KindOther, Op: r.Op, Ref: r.URI, Msg: "the store was closed"}
	}
	if hook == nil {
		return Fault{}, nil
	}
	f := hook(ctx, r)
	if f.Delay > 0 {
		if err := pause(ctx, f.Delay); err != nil {
			return Fault{}, backends.Ended(ctx, r.Op, r.URI)
		}
	}
	return f, f.Err
}

func (s *Store) count(r *Request) (Hook, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch r.Op {
	case "list":
		s.counts.List++
	case "stat":
		s.counts.Stat++
	case "open":
		s.counts.Open++
	}
	r.N = s.counts.Requests()
	return s.hook, s.closed
}

func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
