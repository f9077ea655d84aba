package filestore

import (
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pinfs/pinfs/backends"
)

// MaxNamed is the size in bytes up to which a file of another size than the
// recorded one is hashed to say its digest; larger ones are told by their size.
const MaxNamed = 1 << 30

// Sizes in bytes.
const (
	bufferSize = 1 << 20  // what one call reads at most
	smallSize  = 16 << 10 // of the buffers for files that are smaller
)

// Options tune a Store; zero fields take their defaults.
type Options struct {
	// ShareTimeout is how long one system call may take (30 s).
	ShareTimeout time.Duration
	// MaxStuck is how many calls on one share may be left behind in the kernel
	// after that (8); then each further one on it fails at once.
	MaxStuck int64
	// MaxCalls is how many calls on one share may be under way (128); the others
	// wait. No more threads than that can a share take.
	MaxCalls int
	// Rules say which files may be read and listed; nil is all. They hold for where
	// a path leads to, whatever links are on its way.
	Rules *backends.Rules
}

func (o Options) filled() Options {
	if o.ShareTimeout == 0 {
		o.ShareTimeout = 30 * time.Second
	}
	if o.MaxStuck == 0 {
		o.MaxStuck = 8
	}
	if o.MaxCalls == 0 {
		o.MaxCalls = 128
	}
	return o
}

// Store is the backend for files.
type Store struct {
	rules   *backends.Rules
	shares  shares
	buffers sync.Pool // of *[bufferSize]byte
	smalls  sync.Pool // of *[smallSize]byte
	engines engines
	// before, if set, runs in front of each system call and may fail or hang in
	// its place: a seam for tests.
	before atomic.Pointer[func(op, path string) error]
}

var _ backends.ManyDigester = (*Store)(nil)

// New makes a backend with the default options.
func New() *Store { return NewWith(Options{}) }

// NewWith makes a backend.
func NewWith(o Options) *Store {
	s := &Store{rules: o.Rules}
	s.shares = shares{options: o.filled(), enter: s.enter, table: func() ([]byte, error) { return os.ReadFile(mountTable) }}
	s.buffers.New = func() any { return new([bufferSize]byte) }
	s.smalls.New = func() any { return new([smallSize]byte) }
	return s
}

// Close ends the goroutines that hash.
func (s *Store) Close() error {
	s.engines.close()
	return nil
}

func (s *Store) enter(op, path string) error {
	if fn := s.before.Load(); fn != nil {
		return (*fn)(op, path)
	}
	return nil
}
