package main

import (
	"context"
	"io"
	"sync"

	"github.com/pinfs/pinfs/backends"
	"github.com/pinfs/pinfs/manifest"
)

// lazy is a driver that is made when it is first asked, so that a broken
// configuration of one store does not keep others from being read.
type lazy struct {
	open func(context.Context) (backends.Backend, error)

	mu      sync.Mutex // guards backend
	backend backends.Backend
}

var _ backends.Backend = (*lazy)(nil)

// get gives the driver; an error is not kept, the next call tries again.
func (l *lazy) get(ctx context.Context) (backends.Backend, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.backend != nil {
		return l.backend, nil
	}
	b, err := l.open(ctx)
	if err == nil {
		l.backend = b
	}
	return b, err
}

func (l *lazy) List(ctx context.Context, uri string, fn func(backends.Info) error) error {
	b, err := l.get(ctx)
	if err != nil {
		return err
	}
	return b.List(ctx, uri, fn)
}

func (l *lazy) Stat(ctx context.Context, obj manifest.Object) (backends.Info, error) {
	b, err := l.get(ctx)
	if err != nil {
		return backends.Info{}, err
	}
	return b.Stat(ctx, obj)
}

func (l *lazy) Open(ctx context.Context, obj manifest.Object, offset, length int64) (io.ReadCloser, backends.Info, error) {
	b, err := l.get(ctx)
	if err != nil {
		return nil, backends.Info{}, err
	}
	return b.Open(ctx, obj, offset, length)
}

// Close closes the driver if there is one.
func (l *lazy) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.backend == nil {
		return nil
	}
	return l.backend.Close()
}
