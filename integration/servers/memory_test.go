package servers

import (
	"os"
	"path/filepath"
	"testing"
	"time"
)

// TestSweep: what killed test binaries left in memory goes, what runs stays.
func TestSweep(t *testing.T) {
	parent := t.TempDir()
	old := time.Now().Add(-2 * memoryGrace)
	made := map[string]bool{}
	for _, name := range []string{"held", "free", "unlocked", "new"} {
		dir := filepath.Join(parent, name)
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		if name != "unlocked" {
			unlock, err := lock(dir)
			if err != nil {
				t.Fatal(err)
			}
			if name == "held" {
				defer unlock()
			} else {
				unlock()
			}
		}
		if name != "new" {
			if err := os.Chtimes(dir, old, old); err != nil {
				t.Fatal(err)
			}
		}
		made[name] = true
	}
	sweep(filepath.Join(parent, "*"))
	for name := range made {
		_, err := os.Stat(filepath.Join(parent, name))
		if want := name == "held" || name == "new"; (err == nil) != want {
			t.Errorf("%s: %v, want it there: %v", name, err, want)
		}
	}
}
