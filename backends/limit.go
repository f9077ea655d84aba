package backends

import (
	"context"
	"io"

	"github.com/pinfs/pinfs/manifest"
)

// WithLimit lets at most n requests of b be under way; the others wait, in the
// order of coming, until one ends or their context does. A stream counts until it
// is closed. A listing does not count: it is one request at a time, and its fn may
// wait for others.
func WithLimit(b Backend, n int) Backend {
	return &limited{Backend: b, gate: fixedGate(n)}
}

type limited struct {
	Backend
	gate  *gate
	stats func(*Stats) // adds what the wrappers within know; may be nil
}

var (
	_ Backend      = (*limited)(nil)
	_ ManyDigester = (*limited)(nil)
	_ Measured     = (*limited)(nil)
)

// slotKey is the key of a context's *slot.
type slotKey struct{}

// slot is the place of one call among those under way.
type slot struct {
	gate *gate
	held bool // one goroutine at a time: that of the call, then its stream's
}

// take waits for a slot, and gives a context that has it for the wrappers within.
func (l *limited) take(ctx context.Context, op, ref string) (context.Context, *slot, error) {
	if !l.gate.take(ctx) {
		return ctx, nil, Ended(ctx, op, ref)
	}
	s := &slot{gate: l.gate, held: true}
	return context.WithValue(ctx, slotKey{}, s), s, nil
}

// renewSlot is called before a call's next attempt: what is over the limit, which
// may have fallen meanwhile, waits again.
func renewSlot(ctx context.Context, op, ref string) error {
	s, ok := ctx.Value(slotKey{}).(*slot)
	if !ok || !s.held {
		return nil
	}
	if s.held = s.gate.renew(ctx); !s.held {
		return Ended(ctx, op, ref)
	}
	return nil
}

// free gives the slot back, once.
func (s *slot) free() {
	if s.held {
		s.held = false
		s.gate.release()
	}
}

func (l *limited) Stat(ctx context.Context, obj manifest.Object) (Info, error) {
	ctx, s, err := l.take(ctx, "stat", obj.Ref)
	if err != nil {
		return Info{}, err
	}
	defer s.free()
	return l.Backend.Stat(ctx, obj)
}

func (l *limited) Digest(ctx context.Context, info Info) (Info, error) {
	ctx, s, err := l.take(ctx, "digest", info.Ref)
	if err != nil {
		return Info{}, err
	}
	defer s.free()
	return digest(ctx, l.Backend, info)
}

// DigestMany counts as one request: its driver bounds what it opens at once.
func (l *limited) DigestMany(ctx context.Context, infos []Info) error {
	if len(infos) == 0 {
		return nil
	}
	ctx, s, err := l.take(ctx, "digest", infos[0].Ref)
	if err != nil {
		return err
	}
	defer s.free()
	return DigestMany(ctx, l.Backend, infos)
}

func (l *limited) Open(ctx context.Context, obj manifest.Object, offset, length int64) (io.ReadCloser, Info, error) {
	ctx, s, err := l.take(ctx, "open", obj.Ref)
	if err != nil {
		return nil, Info{}, err
	}
	body, info, err := l.Backend.Open(ctx, obj, offset, length)
	if err != nil {
		s.free()
		return nil, Info{}, err
	}
	return &slotted{ReadCloser: body, slot: s}, info, nil
}

// Stats tells of the limit and of what is within.
func (l *limited) Stats() Stats {
	var s Stats
	l.gate.fill(&s)
	if l.stats != nil {
		l.stats(&s)
	}
	return s
}

// slotted gives its slot back when it is closed, once.
type slotted struct {
	io.ReadCloser
	slot *slot
}

func (s *slotted) Close() error {
	defer s.slot.free()
	return s.ReadCloser.Close()
}
