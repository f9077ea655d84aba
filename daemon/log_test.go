package daemon_test

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/pinfs/pinfs/daemon"
	"github.com/pinfs/pinfs/manifest"
)

func TestLogIsBounded(t *testing.T) {
	if os.Getenv("PINFS_TEST_LOG") == "" {
		// It takes the standard output of its process.
		rerun(t, "TestLogIsBounded", "PINFS_TEST_LOG="+t.TempDir())
		return
	}
	dir := os.Getenv("PINFS_TEST_LOG")
	l, err := daemon.OpenLog(dir)
	must(t, err)
	line := strings.Repeat("x", 1<<10)
	for i := range 40 << 10 { // 40 MiB
		_, err := fmt.Fprintf(l, "%06d %s\n", i, line)
		must(t, err)
	}
	fmt.Fprintln(os.Stderr, "from standard error")
	must(t, l.Close())
	var total int64
	entries, err := os.ReadDir(dir)
	must(t, err)
	for _, e := range entries {
		info, err := e.Info()
		must(t, err)
		total += info.Size()
	}
	if len(entries) != 2 || total > 17<<20 {
		t.Errorf("%d files of %d bytes, want 2 of at most 17 MiB", len(entries), total)
	}
	last := read(t, dir+"/daemon.log")
	if !strings.Contains(last, fmt.Sprintf("%06d ", 40<<10-1)) || !strings.HasSuffix(last, "from standard error\n") {
		t.Errorf("the log ends with %q", last[max(0, len(last)-60):])
	}
}

func TestMountPoint(t *testing.T) {
	dir := t.TempDir()
	must(t, os.Mkdir(dir+"/real", 0o755))
	must(t, os.Symlink("real", dir+"/link"))
	t.Chdir(dir)
	for in, want := range map[string]string{"link": "/real", "./real/": "/real", "link/sub": "/real/sub", "none": "/none"} {
		got, err := daemon.MountPoint(in)
		if err != nil || got != dir+want {
			t.Errorf("MountPoint(%q): got %q, %v, want %q", in, got, err, dir+want)
		}
	}
	if _, err := daemon.MountPoint("x"); manifest.KindOf(err) == manifest.KindInvalid {
		t.Error(err)
	}
}
