package backendtest_test

import (
	"context"
	"errors"
	"net/http"
	"sync"

	"github.com/pinfs/pinfs/backends"
	"github.com/pinfs/pinfs/backends/backendtest"
	"github.com/pinfs/pinfs/backends/memstore"
	"github.com/pinfs/pinfs/manifest"
)

// faults makes of each fault the error that a driver would make of it, so that the
// suite's own cases about faults are tried out on every go test.
type faults struct {
	mu   sync.Mutex // guards all below
	all  []*backendtest.Fault
	seen map[backendtest.Op]int
}

var (
	_        backendtest.Faults = (*faults)(nil)
	errReset                    = errors.New("connection reset")
)

func newFaults(s *memstore.Store) *faults {
	f := &faults{seen: map[backendtest.Op]int{}}
	s.SetHook(func(_ context.Context, r memstore.Request) memstore.Fault { return f.hit(r) })
	return f
}

func (f *faults) Break(b backendtest.Fault) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.all = append(f.all, &b)
}

func (f *faults) Heal() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.all = nil
}

func (f *faults) Seen(op backendtest.Op) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.seen[op]
}

func (f *faults) hit(r memstore.Request) memstore.Fault {
	op := map[string]backendtest.Op{"list": backendtest.ListOp, "stat": backendtest.StatOp, "open": backendtest.DataOp}[r.Op]
	f.mu.Lock()
	defer f.mu.Unlock()
	f.seen[op]++
	f.seen[backendtest.AnyOp]++
	for i, b := range f.all {
		if b.Op != backendtest.AnyOp && b.Op != op {
			continue
		}
		if b.Skip > 0 {
			b.Skip--
			continue
		}
		if b.Times > 0 {
			if b.Times--; b.Times == 0 {
				f.all = append(f.all[:i:i], f.all[i+1:]...)
			}
		}
		return said(b, r)
	}
	return memstore.Fault{}
}

// said is what a driver says of a fault.
func said(b *backendtest.Fault, r memstore.Request) memstore.Fault {
	switch {
	case b.Silent:
		return memstore.Fault{Delay: memstore.Forever}
	case b.Reset:
		return memstore.Fault{Err: backends.Unreachable(r.Op, r.URI, errReset)}
	case b.Status != 0:
		return memstore.Fault{Err: refusal(b, r)}
	case b.Header != nil:
		return memstore.Fault{Err: wrong(r, "the header is wrong")}
	case b.Body != nil && r.Op == "open":
		return memstore.Fault{Delay: b.Delay, Body: damaged(b.Body, r)}
	case b.Body != nil:
		return memstore.Fault{Err: backends.Unreachable(r.Op, r.URI, errReset)}
	}
	return memstore.Fault{Delay: b.Delay}
}

func damaged(d *backendtest.Damage, r memstore.Request) memstore.BodyFault {
	switch d.Kind {
	case backendtest.Cut:
		return memstore.Cut(d.At, backends.Unreachable("read", r.URI, errReset))
	case backendtest.Stall:
		return memstore.Stall(d.At)
	case backendtest.Shorten:
		return memstore.Cut(d.At, wrong(r, "the body is too short"))
	case backendtest.Flip:
		return memstore.Flip(d.At)
	}
	return nil // a driver reads no further than the end
}

func wrong(r memstore.Request, msg string) error {
	return &manifest.Error{Kind: manifest.KindCorrupt, Op: r.Op, Ref: r.URI, Msg: msg}
}

func refusal(b *backendtest.Fault, r memstore.Request) error {
	text := &manifest.Error{Msg: backends.OneLine(b.Text)}
	switch b.Status {
	case http.StatusForbidden, http.StatusUnauthorized:
		return backends.Denied(r.Op, r.URI, "", text)
	case http.StatusNotFound:
		if r.Op == "list" {
			return backends.NoSource(r.Op, r.URI, "")
		}
		return backends.Gone(r.Op, r.Object, "")
	case http.StatusTooManyRequests, http.StatusServiceUnavailable:
		return backends.Throttled(r.Op, r.URI, backends.ParseRetryAfter(b.Header), text)
	}
	return backends.Unreachable(r.Op, r.URI, text)
}
