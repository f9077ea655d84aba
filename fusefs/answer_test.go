package fusefs_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"

	"github.com/pinfs/pinfs/fusefs"
	"github.com/pinfs/pinfs/manifest"
)

// showing is Content that lends what comes after the first 1,000 bytes of a read, and
// spoils it when it gets it back.
type showing struct {
	*memory
	lent, back atomic.Int64
}

var _ fusefs.Viewer = (*showing)(nil)

func (s *showing) View(ctx context.Context, obj manifest.Object, p []byte, off int64) (head, tail []byte, done func(), err error) {
	got := make([]byte, len(p))
	n, err := s.memory.ReadAt(ctx, obj, got, off)
	s.lent.Add(1)
	done = func() {
		s.back.Add(1)
		clear(got)
	}
	head = p[:copy(p, got[:min(n, 1000)])]
	return head, got[len(head):n], done, err
}

func TestReadsOfWhatIsLent(t *testing.T) {
	mem := newMemory()
	data := random(1, 3<<20+123)
	s := &showing{memory: mem}
	m := mount(t, fusefs.Options{Content: s, Tree: build(t, exact, "", mem.put("d/f", data), mem.put("d/short", data), mem.put("d/broken", data))})
	got, err := os.ReadFile(filepath.Join(m.Dir(), "d/f"))
	if err != nil || !bytes.Equal(got, data) {
		t.Errorf("got %d bytes, %v, want the %d that were put", len(got), err, len(data))
	}
	mem.mu.Lock()
	mem.data["mem://b/d/short"] = data[:len(data)/2]
	mem.mu.Unlock()
	mem.fail("mem://b/d/broken", errors.New("broken"))
	for _, name := range []string{"d/short", "d/broken"} {
		f, err := os.Open(filepath.Join(m.Dir(), name))
		must(t, err)
		if _, err := io.ReadAll(f); err == nil {
			t.Errorf("%s: no error", name)
		}
		must(t, f.Close())
	}
	// The kernel may ask for more after the last read returned.
	eventually(t, "all to be given back", func() bool { return s.back.Load() == s.lent.Load() })
	if s.lent.Load() == 0 {
		t.Error("nothing was lent")
	}
}
