package download_test

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pinfs/pinfs/backends/filestore"
	"github.com/pinfs/pinfs/manifest/snapshot"
	"github.com/pinfs/pinfs/registry/download"
	"github.com/pinfs/pinfs/testwarden"
)

// killEnv holds "snapshot file:root" when the test binary runs as a Get that is
// going to be killed.
const killEnv = "PINFS_DOWNLOAD_TEST_KILL"

func playKilled(arg string) int {
	file, root, _ := strings.Cut(arg, ":")
	s, err := snapshot.Open(file)
	if err == nil {
		fmt.Println("started")
		_, err = download.Get(context.Background(), download.GetOptions{Snapshot: s, Backend: filestore.New(), Root: root, PartSize: 64 << 10})
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// Whenever a Get is killed, what has its name is whole, and the next Get takes over
// and leaves no part behind.
func TestKilledGet(t *testing.T) {
	w, dir, files := newWorld(t), t.TempDir(), sample()
	for name, text := range files {
		must(t, os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o777))
		must(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o666))
	}
	s := w.put(t, dir)
	file := filepath.Join(t.TempDir(), "snapshot")
	versions, err := w.reg.Versions(t.Context(), "p", "a")
	must(t, err)
	must(t, os.Symlink(snapshotFile(t, w, versions[0].Snapshot), file))
	partial := 0
	for round := range 15 {
		root := filepath.Join(t.TempDir(), "root")
		killGet(t, file+":"+root, time.Duration(round)*time.Millisecond)
		got := tree(t, root)
		for name, text := range got {
			if !strings.HasSuffix(name, ".part") && text != files[name] {
				t.Fatalf("round %d: %s is there and wrong", round, name)
			}
		}
		if len(got) > 0 && len(got) < len(files) {
			partial++
		}
		o := w.options(s)
		o.Root = root
		_, err := download.Get(t.Context(), o)
		must(t, err)
		wantTree(t, root, files)
	}
	if partial == 0 {
		t.Error("no Get was killed half-way: nothing was tested")
	}
}

func snapshotFile(t *testing.T, w *world, sha256 string) string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(w.dir, "snapshots", sha256))
	if err != nil || len(found) != 1 {
		t.Fatalf("got %q, error %v; want the snapshot", found, err)
	}
	return found[0]
}

func killGet(t *testing.T, arg string, after time.Duration) {
	t.Helper()
	self, err := os.Executable()
	must(t, err)
	c := testwarden.Command(t.Context(), self)
	c.Env = append(os.Environ(), killEnv+"="+arg)
	c.Stderr = t.Output()
	out, err := c.StdoutPipe()
	must(t, err)
	must(t, c.Start())
	if _, err := bufio.NewReader(out).ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	time.Sleep(after)
	_ = c.Process.Kill()
	_ = c.Wait()
}
