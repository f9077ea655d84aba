package snapshot_test

import (
	"fmt"
	"path/filepath"
	"runtime"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/pinfs/pinfs/manifest"
	"github.com/pinfs/pinfs/manifest/snapshot"
)

// Opening a large snapshot touches no more pages than opening a small one: page
// 0, checksums and metadata, not the entries.
func TestOpenDoesNotReadEntries(t *testing.T) {
	small, large := entriesFile(t, 100), entriesFile(t, 60_000)
	few, many := openFaults(t, small), openFaults(t, large)
	t.Logf("%d and %d page faults", few, many)
	if many > few+6 { // a scan is about 20: the kernel maps many pages at once
		t.Errorf("opening 60,000 entries took %d page faults, 100 entries %d", many, few)
	}
}

func entriesFile(t *testing.T, n int) string {
	path := filepath.Join(t.TempDir(), "s")
	b, err := snapshot.NewBuilder(snapshot.BuilderOptions{TempDir: filepath.Dir(path)})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	for i := range n {
		ref := fmt.Sprintf("s3://bucket/%x", i*7919)
		if err := b.Add(manifest.Entry{Path: fmt.Sprintf("d%d/%d.png", i%50, i), Ref: ref, Digest: fmt.Sprintf("%032x", i), Size: int64(i + 1)}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := b.Build(t.Context(), path); err != nil {
		t.Fatal(err)
	}
	return path
}

// openFaults gives the page faults of an opening, the fewest of some.
func openFaults(t *testing.T, path string) int64 {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	least := int64(1 << 62)
	for range 5 {
		before := faults(t)
		s, err := snapshot.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		least = min(least, faults(t)-before)
		s.Close()
	}
	return least
}

// faults counts the page faults of this thread.
func faults(t *testing.T) int64 {
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_THREAD, &u); err != nil {
		t.Fatal(err)
	}
	return u.Minflt + u.Majflt
}
