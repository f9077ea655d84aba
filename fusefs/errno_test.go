package fusefs_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/pinfs/pinfs/fusefs"
	"github.com/pinfs/pinfs/manifest"
)

var errnos = map[manifest.Kind]syscall.Errno{
	manifest.KindOther:       syscall.EIO,
	manifest.KindInvalid:     syscall.EIO,
	manifest.KindNotFound:    syscall.ENOENT,
	manifest.KindNoSource:    syscall.ESTALE,
	manifest.KindUnsupported: syscall.ENOTSUP,
	manifest.KindUnreachable: syscall.ETIMEDOUT,
	manifest.KindThrottled:   syscall.ETIMEDOUT,
	manifest.KindTimeout:     syscall.ETIMEDOUT,
	manifest.KindDenied:      syscall.EACCES,
	manifest.KindGone:        syscall.ESTALE,
	manifest.KindChanged:     syscall.ESTALE,
	manifest.KindCorrupt:     syscall.EIO,
	manifest.KindLimit:       syscall.EIO,
	manifest.KindBusy:        syscall.EBUSY,
	manifest.KindConflict:    syscall.EIO,
	manifest.KindCanceled:    syscall.EINTR,
}

func TestErrnoOfEachKind(t *testing.T) {
	for kind, want := range errnos {
		err := fmt.Errorf("read: %w", &manifest.Error{Kind: kind})
		if got := fusefs.Errno(err); got != want {
			t.Errorf("%v: %v, want %v", kind, got, want)
		}
	}
	for err, want := range map[error]syscall.Errno{
		nil: 0, errors.New("x"): syscall.EIO, context.Canceled: syscall.EINTR, context.DeadlineExceeded: syscall.ETIMEDOUT,
		os.ErrNotExist: syscall.EIO, // a file of ours, no name of the user's
	} {
		if got := fusefs.Errno(err); got != want {
			t.Errorf("%v: %v, want %v", err, got, want)
		}
	}
}

// heard collects what Options.OnError is told.
type heard struct {
	mu    sync.Mutex
	paths []string
}

func (h *heard) hear(path string, _ manifest.Object, _ error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.paths = append(h.paths, path)
}

func (h *heard) count(path string) (n int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, p := range h.paths {
		if p == path {
			n++
		}
	}
	return n
}

// buffer is a bytes.Buffer for many writers.
type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

func TestFailedReadsAreToldOnce(t *testing.T) {
	mem, log, ear := newMemory(), &buffer{}, &heard{}
	var entries []manifest.Entry
	for kind := range errnos {
		path := fmt.Sprintf("f%d", kind)
		entries = append(entries, mem.put(path, []byte("12345")))
		mem.fail("mem://b/"+path, fmt.Errorf("wrapped: %w", &manifest.Error{Kind: kind, Op: "read", Ref: "mem://b/" + path, Expected: "good", Found: "bad"}))
	}
	m := mount(t, fusefs.Options{Content: mem, Tree: build(t, exact, "", entries...), OnError: ear.hear,
		Logger: slog.New(slog.NewTextHandler(log, nil))})
	for kind, want := range errnos {
		if kind == manifest.KindCanceled {
			want = syscall.EIO // nobody interrupted this reader; EINTR would be repeated for ever
		}
		path := fmt.Sprintf("f%d", kind)
		for range 3 {
			if _, err := os.ReadFile(m.Dir() + "/" + path); !errors.Is(err, want) {
				t.Errorf("%v: %v, want %v", kind, err, want)
			}
		}
		lines, told := strings.Count(log.String(), "path=vision/mnist:v0/"+path+" "), ear.count("vision/mnist:v0/"+path)
		if lines != 1 || told < 3 {
			t.Errorf("%v: logged %d times, told %d times; want 1, and each time", kind, lines, told)
		}
	}
	for _, part := range []string{"expected=good", "found=bad", "ref=mem://b/f", "pin=etag:"} {
		if !strings.Contains(log.String(), part) {
			t.Errorf("the log lacks %q:\n%s", part, log)
		}
	}
}

func TestFileStaysReadableAfterAnError(t *testing.T) {
	mem := newMemory()
	m := mount(t, fusefs.Options{Content: mem, Tree: build(t, exact, "", mem.put("f", []byte("12345")))})
	mem.fail("mem://b/f", &manifest.Error{Kind: manifest.KindUnreachable})
	if _, err := os.ReadFile(m.Dir() + "/f"); !errors.Is(err, syscall.ETIMEDOUT) {
		t.Fatalf("%v, want ETIMEDOUT", err)
	}
	mem.fail("mem://b/f", nil)
	if got, err := os.ReadFile(m.Dir() + "/f"); string(got) != "12345" {
		t.Errorf("%q, %v", got, err)
	}
}

func TestObjectThatEndsEarlyIsAnError(t *testing.T) {
	mem := newMemory()
	e := mem.put("f", []byte("12345"))
	e.Size = 10
	m := mount(t, fusefs.Options{Content: mem, Tree: build(t, exact, "", e)})
	if got, err := os.ReadFile(m.Dir() + "/f"); !errors.Is(err, syscall.EIO) {
		t.Errorf("%q, %v; want EIO, never a short file", got, err)
	}
}

func TestPanicIsOneFailedRequest(t *testing.T) {
	mem, log := newMemory(), &buffer{}
	m := mount(t, fusefs.Options{Content: mem, Tree: build(t, exact, "", mem.put("panic", []byte("x")), mem.put("fine", []byte("y"))),
		Logger: slog.New(slog.NewTextHandler(log, nil))})
	if _, err := os.ReadFile(m.Dir() + "/panic"); !errors.Is(err, syscall.EIO) {
		t.Errorf("%v, want EIO", err)
	}
	if got, err := os.ReadFile(m.Dir() + "/fine"); string(got) != "y" {
		t.Errorf("afterwards: %q, %v", got, err)
	}
	if !strings.Contains(log.String(), "a defect") || !strings.Contains(log.String(), "ReadAt") {
		t.Errorf("the log lacks the panic and its stack:\n%s", log)
	}
}

// unknown gives a version of one file whose manifest does not tell its size.
func unknown(t testing.TB, mem *memory, data []byte) *fusefs.Tree {
	e := mem.put("d/f", data)
	e.Size = manifest.SizeUnknown
	return build(t, exact, "", e, mem.put("d/other", nil))
}

func TestUnknownSizeIsAskedForWhenNeeded(t *testing.T) {
	mem := newMemory()
	data := random(5, 300_000)
	m := mount(t, fusefs.Options{Content: mem, Tree: unknown(t, mem, data)})
	if got := list(t, m.Dir()+"/d"); len(got) != 2 || mem.sizes.Load() != 0 {
		t.Errorf("listing gave %q and asked %d sizes, want 2 names and none", got, mem.sizes.Load())
	}
	info, err := os.Stat(m.Dir() + "/d/f")
	must(t, err)
	if info.Size() != int64(len(data)) {
		t.Errorf("size %d, want %d", info.Size(), len(data))
	}
	if got, err := os.ReadFile(m.Dir() + "/d/f"); !bytes.Equal(got, data) {
		t.Errorf("%d bytes, %v", len(got), err)
	}
}

func TestUnknownSizeThatNobodyTells(t *testing.T) {
	mem := newMemory()
	m := mount(t, fusefs.Options{Content: mem, Tree: unknown(t, mem, []byte("12345"))})
	mem.fail("mem://b/d/f", &manifest.Error{Kind: manifest.KindUnreachable})
	if _, err := os.Stat(m.Dir() + "/d/f"); !errors.Is(err, syscall.ETIMEDOUT) {
		t.Errorf("stat: %v, want ETIMEDOUT", err)
	}
	if got := list(t, m.Dir()+"/d"); len(got) != 2 {
		t.Errorf("the directory lists %q, want both", got)
	}
	mem.fail("mem://b/d/f", nil)
	if got, err := os.ReadFile(m.Dir() + "/d/f"); string(got) != "12345" {
		t.Errorf("later: %q, %v", got, err)
	}
}
