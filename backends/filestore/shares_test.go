package filestore_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pinfs/pinfs/backends"
	"github.com/pinfs/pinfs/backends/filestore"
	"github.com/pinfs/pinfs/manifest"
)

// places makes two directories that are taken for shares, and links to them.
func places(t *testing.T) string {
	t.Helper()
	dir, err := filepath.EvalSymlinks(t.TempDir())
	must(t, err)
	for _, f := range []string{"/one/sub/a", "/two/sub/a", "/two/sub/b", "/local/a"} {
		write(t, dir+f, "data")
	}
	for link, target := range map[string]string{
		"/absolute": dir + "/two/sub", "/relative": "two", "/twice": "relative/sub", "/loop": "loop", "/one/out": "../two", "/nowhere": "nothing",
	} {
		must(t, os.Symlink(target, dir+link))
	}
	return dir
}

func TestShareOfADirectory(t *testing.T) {
	dir := places(t)
	s := store(t, filestore.Options{})
	s.SetMounts("/", dir+"/one", dir+"/two", strings.ReplaceAll(dir, "/", `\057`)+`/with\040space`)
	for path, want := range map[string]string{
		"/": "/", dir: "/", dir + "/local": "/", dir + "/one": dir + "/one", dir + "/one/sub/x/y": dir + "/one",
		dir + "/absolute": dir + "/two", dir + "/relative/sub": dir + "/two", dir + "/twice": dir + "/two", dir + "/one/out/sub": dir + "/two",
		dir + "/one-more": "/", dir + "/loop/x": "/", dir + "/nowhere/x": "/", dir + "/with space/x": dir + "/with space",
	} {
		for range 2 { // found, and remembered
			if got, err := s.ShareOf(path); got != want || err != nil {
				t.Errorf("%s: got share %q, error %v, want %q", path, got, err, want)
			}
		}
	}
	s = store(t, filestore.Options{})
	s.SetMounts() // as where there is no /proc
	if got, err := s.ShareOf(dir + "/one"); got != "/" || err != nil {
		t.Errorf("got %q, error %v, want /", got, err)
	}
}

// A share that hangs is cut off by itself: the others, and links to them, answer.
func TestOneShareHangsAlone(t *testing.T) {
	dir := places(t)
	dead := []string{dir + "/two/sub/a", dir + "/absolute/a", dir + "/relative/sub/b", dir + "/one/out/sub/a"}
	alive := []string{dir + "/one/sub/a", dir + "/local/a"}
	synctest.Test(t, func(t *testing.T) {
		s := filestore.NewWith(filestore.Options{ShareTimeout: 5 * time.Second, MaxStuck: 4})
		s.SetMounts("/", dir+"/one", dir+"/two")
		gate := make(chan struct{})
		var entered atomic.Int64
		s.SetBefore(func(op, path string) error {
			if op == "open" && !strings.HasPrefix(path, dir+"/one/sub") && !strings.HasPrefix(path, dir+"/local") {
				entered.Add(1)
				<-gate
			}
			return nil
		})
		ask := func(path string) error {
			_, err := s.Digest(t.Context(), backends.Info{Ref: "file://" + path})
			return err
		}
		for _, path := range dead {
			wantErr(t, ask(path), manifest.KindTimeout, path, "no answer within 5s", dir+"/two may hang")
			for _, path := range alive {
				must(t, ask(path))
			}
		}
		start := time.Now()
		for range 100 {
			for _, path := range dead {
				wantErr(t, ask(path), manifest.KindTimeout, path, dir+"/two hangs: 4 earlier calls")
			}
			for _, path := range alive {
				must(t, ask(path))
			}
		}
		if took := time.Since(start); took != 0 || entered.Load() != 4 {
			t.Errorf("took %v with %d calls in the kernel, want answers at once and 4", took, entered.Load())
		}
		close(gate)
		synctest.Wait()
		for _, path := range append(dead, alive...) {
			must(t, ask(path))
		}
	})
}

// A share that hangs at the look at a link does so as that share, not as the one
// that the path began on.
func TestHangAtALink(t *testing.T) {
	dir := places(t)
	synctest.Test(t, func(t *testing.T) {
		s := filestore.NewWith(filestore.Options{ShareTimeout: 5 * time.Second, MaxStuck: 1})
		s.SetMounts("/", dir+"/one", dir+"/two")
		gate := make(chan struct{})
		s.SetBefore(func(op, path string) error {
			if op == "lstat" && path == dir+"/one/out" {
				<-gate
			}
			return nil
		})
		_, err := s.ShareOf(dir + "/one/out/sub")
		wantErr(t, err, manifest.KindTimeout, "file://"+dir+"/one/out/sub", dir+"/one may hang")
		_, err = s.ShareOf(dir + "/one/sub")
		wantErr(t, err, manifest.KindTimeout, dir+"/one hangs")
		for _, path := range []string{dir + "/local", dir + "/two/sub"} {
			if _, err := s.ShareOf(path); err != nil {
				t.Error(err)
			}
		}
		close(gate)
		synctest.Wait()
		if got, err := s.ShareOf(dir + "/one/out/sub"); got != dir+"/two" || err != nil {
			t.Errorf("got %q, error %v, want two", got, err)
		}
	})
}

// What is mounted later is seen, and what hung before still counts.
func TestMountsThatComeAndGo(t *testing.T) {
	dir := places(t)
	synctest.Test(t, func(t *testing.T) {
		s := filestore.NewWith(filestore.Options{ShareTimeout: time.Second, MaxStuck: 1})
		s.SetMounts("/")
		if got, err := s.ShareOf(dir + "/two/sub"); got != "/" || err != nil {
			t.Fatalf("got %q, error %v, want /", got, err)
		}
		s.SetMounts("/", dir+"/two")
		time.Sleep(10 * time.Second)
		if got, err := s.ShareOf(dir + "/two/sub"); got != dir+"/two" || err != nil {
			t.Fatalf("got %q, error %v, want two", got, err)
		}
		gate := make(chan struct{})
		s.SetBefore(func(op, _ string) error {
			if op == "open" {
				<-gate
				return errors.New("late")
			}
			return nil
		})
		ref := "file://" + dir + "/two/sub/a"
		_, err := s.Digest(t.Context(), backends.Info{Ref: ref})
		wantErr(t, err, manifest.KindTimeout)
		s.SetMounts("/", dir+"/two", dir+"/one")
		time.Sleep(10 * time.Second)
		_, err = s.Digest(t.Context(), backends.Info{Ref: ref})
		wantErr(t, err, manifest.KindTimeout, dir+"/two hangs")
		close(gate)
		synctest.Wait()
		_, err = s.Digest(t.Context(), backends.Info{Ref: ref})
		wantErr(t, err, manifest.KindOther, "late")
	})
}
