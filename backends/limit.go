package backends

import (
	"context"
	"io"
	"sync"

	"golang.org/x/sync/semaphore"

	"github.com/pinfs/pinfs/manifest"
)

// WithLimit lets at most n requests of b be under way; the others wait until one
// ends or their context does. A stream counts until it is closed. A listing does
// not count: it is one request at a time, and its fn may wait for others.
func WithLimit(b Backend, n int) Backend {
	return &limited{Backend: b, slots: semaphore.NewWeighted(int64(max(1, n)))}
}

type limited struct {
	Backend
	slots *semaphore.Weighted
}

var (
	_ Backend      = (*limited)(nil)
	_ ManyDigester = (*limited)(nil)
)

// take waits for a slot.
func (l *limited) take(ctx context.Context, op, ref string) error {
	if l.slots.Acquire(ctx, 1) != nil {
		return Ended(ctx, op, ref)
	}
	return nil
}

func (l *limited) Stat(ctx context.Context, obj manifest.Object) (Info, error) {
	if err := l.take(ctx, "stat", obj.Ref); err != nil {
		return Info{}, err
	}
	defer l.slots.Release(1)
	return l.Backend.Stat(ctx, obj)
}

func (l *limited) Digest(ctx context.Context, info Info) (Info, error) {
	if err := l.take(ctx, "digest", info.Ref); err != nil {
		return Info{}, err
	}
	defer l.slots.Release(1)
	return digest(ctx, l.Backend, info)
}

// DigestMany counts as one request: its driver bounds what it opens at once.
func (l *limited) DigestMany(ctx context.Context, infos []Info) error {
	if len(infos) == 0 {
		return nil
	}
	if err := l.take(ctx, "digest", infos[0].Ref); err != nil {
		return err
	}
	defer l.slots.Release(1)
	return DigestMany(ctx, l.Backend, infos)
}

func (l *limited) Open(ctx context.Context, obj manifest.Object, offset, length int64) (io.ReadCloser, Info, error) {
	if err := l.take(ctx, "open", obj.Ref); err != nil {
		return nil, Info{}, err
	}
	body, info, err := l.Backend.Open(ctx, obj, offset, length)
	if err != nil {
		l.slots.Release(1)
		return nil, Info{}, err
	}
	return &slotted{ReadCloser: body, free: sync.OnceFunc(func() { l.slots.Release(1) })}, info, nil
}

// slotted gives its slot back when it is closed, once.
type slotted struct {
	io.ReadCloser
	free func()
}

func (s *slotted) Close() error {
	defer s.free()
	return s.ReadCloser.Close()
}
