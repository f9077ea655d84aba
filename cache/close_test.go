package cache_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pinfs/pinfs/cache"
	"github.com/pinfs/pinfs/testwarden"
)

const closeChild = "PINFS_TEST_CLOSE_DIR"

// TestCloseEndsWithoutDirectory: the cache directory was removed under a running
// process, and its index can never be written; Close ends all the same. In a
// process of its own, since badger goes on trying until its process ends.
func TestCloseEndsWithoutDirectory(t *testing.T) {
	if dir := os.Getenv(closeChild); dir != "" {
		closeWithoutDirectory(t, dir)
		return
	}
	child := testwarden.Command(t.Context(), os.Args[0], "-test.run=^TestCloseEndsWithoutDirectory$", "-test.v")
	child.Env = append(os.Environ(), closeChild+"="+filepath.Join(t.TempDir(), "cache"))
	out, _ := child.CombinedOutput() // its leak check fails, as it should here
	if !strings.Contains(string(out), "closed with an error") {
		t.Errorf("Close does not end, or hides that the index was lost:\n%s", out)
	}
}

func closeWithoutDirectory(t *testing.T, dir string) {
	s := newSource()
	o := options(dir, s)
	o.CloseTimeout = 500 * time.Millisecond
	c, err := cache.Open(o)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Warm(t.Context(), s.put(ref(1), content(1, 10_000))); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	if err := c.Close(); err != nil {
		t.Logf("closed with an error: %v", err)
	}
}
