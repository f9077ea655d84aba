package filestore

import (
	"sync"
	"time"

	"github.com/pinfs/pinfs/backends"
)

// MaxNamed is the size in bytes up to which a file of another size than the
// recorded one is hashed to say its digest; larger ones are told by their size.
const MaxNamed = 1 << 30

// bufferSize is what one call reads at most.
const bufferSize = 1 << 20

// Options tune a Store; zero fields take their defaults.
type Options struct {
	// Timeout is how long one system call may take (30 s).
	Timeout time.Duration
	// MaxStuck is how many calls may be left behind in the kernel (64).
	MaxStuck int64
}

// Store is the backend for files.
type Store struct {
	guard   guard
	buffers sync.Pool // of *[bufferSize]byte
	// before, if set, runs in front of each system call and may fail or hang in
	// its place: a seam for tests.
	before func(op, path string) error
}

var (
	_ backends.Backend  = (*Store)(nil)
	_ backends.Digester = (*Store)(nil)
)

// New makes a backend with the default options.
func New() *Store { return NewWith(Options{}) }

// NewWith makes a backend.
func NewWith(o Options) *Store {
	if o.Timeout == 0 {
		o.Timeout = 30 * time.Second
	}
	if o.MaxStuck == 0 {
		o.MaxStuck = 64
	}
	s := &Store{guard: guard{timeout: o.Timeout, max: o.MaxStuck}}
	s.buffers.New = func() any { return new([bufferSize]byte) }
	return s
}

// Close implements backends.Backend; there is nothing to free.
func (s *Store) Close() error { return nil }

func (s *Store) enter(op, path string) error {
	if s.before == nil {
		return nil
	}
	return s.before(op, path)
}
