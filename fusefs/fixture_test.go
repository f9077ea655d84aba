package fusefs_test

import (
	"context"
	"crypto/md5"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/pinfs/pinfs/fusefs"
	"github.com/pinfs/pinfs/manifest"
	"github.com/pinfs/pinfs/manifest/snapshot"
)

// memory is Content that holds bytes by reference, with faults on request.
type memory struct {
	mu     sync.Mutex // guards all below
	data   map[string][]byte
	errs   map[string]error         // what reads and sizes of a reference fail with
	stall  map[string]chan struct{} // reads of a reference wait for it or their context
	ended  chan error               // gets the context's error of a read that gave up
	reads  atomic.Int64
	sizes  atomic.Int64
	onRead func(off int64, n int)
}

var _ fusefs.Content = (*memory)(nil)

func newMemory() *memory {
	return &memory{data: map[string][]byte{}, errs: map[string]error{}, stall: map[string]chan struct{}{}, ended: make(chan error, 100)}
}

func (m *memory) get(ref string) ([]byte, chan struct{}, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.data[ref], m.stall[ref], m.errs[ref]
}

func (m *memory) fail(ref string, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.errs[ref] = err
}

func (m *memory) block(ref string) chan struct{} {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.stall[ref] = make(chan struct{})
	return m.stall[ref]
}

func (m *memory) ReadAt(ctx context.Context, obj manifest.Object, p []byte, off int64) (int, error) {
	m.reads.Add(1)
	data, stall, err := m.get(obj.Ref)
	if stall != nil {
		select {
		case <-stall:
		case <-ctx.Done():
			m.ended <- ctx.Err()
			return 0, ctx.Err()
		}
	}
	if err != nil {
		return 0, err
	}
	if obj.Ref == "mem://b/panic" {
		panic("a defect")
	}
	if m.onRead != nil {
		m.onRead(off, len(p))
	}
	if off >= int64(len(data)) {
		return 0, io.EOF
	}
	n := copy(p, data[off:])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

func (m *memory) Size(_ context.Context, obj manifest.Object) (int64, error) {
	m.sizes.Add(1)
	data, _, err := m.get(obj.Ref)
	return int64(len(data)), err
}

func (m *memory) Inspect(obj manifest.Object) (int64, bool, error) {
	data, _, err := m.get(obj.Ref)
	return int64(len(data)), err == nil, err
}

// put adds content and gives an entry for it.
func (m *memory) put(path string, data []byte) manifest.Entry {
	ref := "mem://b/" + path
	m.mu.Lock()
	defer m.mu.Unlock()
	m.data[ref] = data
	sum := md5.Sum(data)
	return manifest.Entry{Path: path, Digest: base64.StdEncoding.EncodeToString(sum[:]), Ref: ref, Size: int64(len(data)),
		Extra: map[string]any{manifest.ExtraETag: fmt.Sprintf("%x", sum)}}
}

var created = time.Date(2024, 5, 6, 7, 8, 9, 123456789, time.UTC)

// build makes a snapshot of entries and opens it as name, "mnist:v0" if empty.
func build(t testing.TB, o snapshot.BuilderOptions, name string, entries ...manifest.Entry) *fusefs.Tree {
	t.Helper()
	path := filepath.Join(t.TempDir(), "snapshot")
	o.TempDir = filepath.Dir(path)
	b, err := snapshot.NewBuilder(o)
	must(t, err)
	defer b.Close()
	for _, e := range entries {
		must(t, b.Add(e))
	}
	sum, err := b.Build(context.Background(), path)
	must(t, err)
	if name == "" {
		name = "mnist:v0"
	}
	return open(t, path, name, sum.SHA256)
}

func open(t testing.TB, path, name, digest string) *fusefs.Tree {
	t.Helper()
	s, err := snapshot.Open(path)
	must(t, err)
	t.Cleanup(func() { s.Close() })
	return &fusefs.Tree{Snapshot: s, Project: "vision", Name: name, Digest: digest, Created: created}
}

var exact = snapshot.BuilderOptions{Meta: snapshot.Meta{ExactSizes: true}}

// mount mounts in a new directory and unmounts at the end of the test.
func mount(t testing.TB, o fusefs.Options) *fusefs.Mounted {
	t.Helper()
	return mountOn(t, t.TempDir(), o)
}

func mountOn(t testing.TB, dir string, o fusefs.Options) *fusefs.Mounted {
	t.Helper()
	needFuse(t)
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	m, err := fusefs.Mount(ctx, dir, o)
	must(t, err)
	t.Cleanup(func() { unmount(t, m) })
	must(t, pollOnce(m.Dir()))
	return m
}

// pollOnce polls a name that go-fuse answers by itself. Tests read the mounts of
// their own process, and the first poll of a mount must not come from the Go
// runtime, which holds a processor while it waits (go-fuse's "poll hack").
func pollOnce(dir string) error {
	fd, err := unix.Open(filepath.Join(dir, ".go-fuse-epoll-hack"), unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	_, err = unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, 0)
	return errors.Join(err, unix.Close(fd))
}

func unmount(t testing.TB, m *fusefs.Mounted) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	select {
	case <-m.Done():
		return
	default:
	}
	if err := m.Unmount(ctx, false); err != nil {
		t.Errorf("unmount: %v", err)
		_ = m.Unmount(ctx, true)
	}
}

func needFuse(t testing.TB) {
	t.Helper()
	if _, err := os.Stat("/dev/fuse"); err != nil {
		t.Fatalf("%v: load the fuse module (modprobe fuse), install fuse3", err)
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// random gives n bytes that depend on seed only.
func random(seed uint64, n int) []byte {
	var key [32]byte
	key[0], key[1] = byte(seed), byte(seed>>8)
	r := rand.NewChaCha8(key)
	p := make([]byte, n)
	_, _ = r.Read(p)
	return p
}

// slow is Content of zeros that takes a millisecond to answer.
type slow struct{ *memory }

func (slow) ReadAt(_ context.Context, _ manifest.Object, p []byte, _ int64) (int, error) {
	time.Sleep(time.Millisecond)
	clear(p)
	return len(p), nil
}
