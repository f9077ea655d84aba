package registry_test

import (
	"bytes"
	"context"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/pinfs/pinfs/manifest"
	"github.com/pinfs/pinfs/registry"
	"github.com/pinfs/pinfs/registry/storetest"
)

func openDir(location string) (registry.Store, error) {
	return registry.NewDirStore(location), nil
}

func TestDirStore(t *testing.T) {
	storetest.Run(t, storetest.Fixture{
		Location: func(t *testing.T) string { return filepath.Join(t.TempDir(), "above", "registry") },
		Open:     openDir,
	})
}

// tester is what *testing.T and *rapid.T share.
type tester interface {
	Helper()
	Errorf(format string, args ...any)
	Fatal(args ...any)
}

func must(t tester, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func wantKind(t tester, err error, kind manifest.Kind) {
	t.Helper()
	if err == nil || manifest.KindOf(err) != kind {
		t.Errorf("got %v, want an error of kind %q", err, kind)
	}
}

func wantText(t tester, err error, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if err == nil || !strings.Contains(err.Error(), part) {
			t.Errorf("got error %q, want it to say %q", err, part)
		}
	}
}

// leftovers gives what is in a store's folder for temporary files.
func leftovers(t testing.TB, dir string) []string {
	t.Helper()
	var all []string
	entries, err := os.ReadDir(filepath.Join(dir, ".tmp"))
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	for _, e := range entries {
		all = append(all, e.Name())
	}
	return all
}

// age makes a file look old.
func age(t *testing.T, path string, by time.Duration) {
	t.Helper()
	then := time.Now().Add(-by)
	must(t, os.Chtimes(path, then, then))
}

func TestDirStoreSweepsLeftoversOfTheDead(t *testing.T) {
	dir, ctx := t.TempDir(), t.Context()
	living := registry.NewDirStore(dir)
	alive, remove, err := living.MakeTemp(ctx)
	must(t, err)
	defer remove()
	must(t, os.WriteFile(filepath.Join(alive, "spill"), nil, 0o666))
	tmp := filepath.Join(dir, ".tmp")
	for _, name := range []string{"dead-file", "young-file", "dead-folder/.lock", "dead-folder/spill", "lockless-folder/spill", "ancient-folder/spill"} {
		must(t, os.MkdirAll(filepath.Dir(filepath.Join(tmp, name)), 0o777))
		must(t, os.WriteFile(filepath.Join(tmp, name), nil, 0o666))
	}
	must(t, os.Mkdir(filepath.Join(tmp, "empty-folder"), 0o777))
	must(t, os.Mkdir(filepath.Join(tmp, "young-folder"), 0o777))
	for name, by := range map[string]time.Duration{
		"dead-file": time.Hour, "dead-folder": time.Hour, "empty-folder": time.Hour, "lockless-folder": time.Hour,
		"ancient-folder": 30 * 24 * time.Hour, filepath.Base(alive): time.Hour,
	} {
		age(t, filepath.Join(tmp, name), by)
	}
	must(t, registry.NewDirStore(dir).PutIfAbsent(ctx, "k", nil))
	got, want := strings.Join(leftovers(t, dir), " "), strings.Join([]string{"lockless-folder", filepath.Base(alive), "young-file", "young-folder"}, " ")
	if got != want {
		t.Errorf("after the sweep: got %q, want %q", got, want)
	}
}

func TestDirStoreLeavesNoTemporaryFiles(t *testing.T) {
	dir, ctx := t.TempDir(), t.Context()
	s := registry.NewDirStore(dir)
	must(t, s.PutIfAbsent(ctx, "k", []byte("one")))
	_, tag, err := s.Get(ctx, "k")
	must(t, err)
	wantKind(t, s.PutIfAbsent(ctx, "k", nil), manifest.KindConflict)
	must(t, s.PutIfUnchanged(ctx, "k", []byte("two"), tag))
	wantKind(t, s.PutIfUnchanged(ctx, "k", []byte("three"), tag), manifest.KindConflict)
	local := filepath.Join(t.TempDir(), "f")
	must(t, os.WriteFile(local, []byte("x"), 0o600))
	must(t, s.PutFile(ctx, "f", local))
	if got := leftovers(t, dir); len(got) != 0 {
		t.Errorf("left in .tmp: %q", got)
	}
}

// A group's registry: what one member makes, another can read and change, as far
// as the umask says.
func TestDirStoreHonoursUmask(t *testing.T) {
	dir, ctx := filepath.Join(t.TempDir(), "registry"), t.Context()
	old := unix.Umask(0o007)
	defer unix.Umask(old)
	s := registry.NewDirStore(dir)
	must(t, s.PutIfAbsent(ctx, "a/k", []byte("one")))
	_, tag, err := s.Get(ctx, "a/k")
	must(t, err)
	must(t, s.PutIfUnchanged(ctx, "a/k", []byte("two"), tag))
	tmp, remove, err := s.MakeTemp(ctx)
	must(t, err)
	must(t, os.WriteFile(filepath.Join(tmp, "new"), []byte("x"), 0o600))
	must(t, s.PutFile(ctx, "a/linked", filepath.Join(tmp, "new")))
	remove()
	foreign := filepath.Join(t.TempDir(), "f")
	must(t, os.WriteFile(foreign, []byte("x"), 0o600))
	must(t, s.PutFile(ctx, "a/copied", foreign))
	for name, want := range map[string]fs.FileMode{
		"": 0o770, "a": 0o770, ".tmp": 0o770, "a/k": 0o660, ".lock": 0o660, "a/linked": 0o440, "a/copied": 0o440,
	} {
		info, err := os.Stat(filepath.Join(dir, name))
		must(t, err)
		if got := info.Mode().Perm(); got != want {
			t.Errorf("mode of %q: got %o, want %o", name, got, want)
		}
	}
}

func TestDirStoreSeesADamagedFile(t *testing.T) {
	dir, ctx := t.TempDir(), t.Context()
	s := registry.NewDirStore(dir)
	local := filepath.Join(t.TempDir(), "f")
	must(t, os.WriteFile(local, []byte("content"), 0o600))
	must(t, s.PutFile(ctx, "snapshots/f", local))
	must(t, os.Truncate(filepath.Join(dir, "snapshots/f"), 3))
	err := s.PutFile(ctx, "snapshots/f", local)
	wantKind(t, err, manifest.KindCorrupt)
	wantText(t, err, "snapshots/f", "damaged", "remove it")
}

func TestDirStoreFollowsNoLinks(t *testing.T) {
	dir, ctx := t.TempDir(), t.Context()
	s := registry.NewDirStore(dir)
	secret := filepath.Join(t.TempDir(), "secret")
	must(t, os.WriteFile(secret, []byte("secret"), 0o600))
	must(t, os.Symlink(secret, filepath.Join(dir, "k")))
	_, _, err := s.Get(ctx, "k")
	wantKind(t, err, manifest.KindCorrupt)
	wantKind(t, s.PutIfAbsent(ctx, "k", nil), manifest.KindConflict)
	_, err = s.Fetch(ctx, "k")
	wantKind(t, err, manifest.KindCorrupt)
	for name, err := range s.List(ctx, "") {
		t.Errorf("listed %q, error %v; want that a link is not listed", name, err)
	}
	got, err := os.ReadFile(secret)
	if err != nil || !bytes.Equal(got, []byte("secret")) {
		t.Errorf("the link's target: got %q, error %v", got, err)
	}
}

// Somebody who is stopped while holding the lock costs others a bounded wait.
func TestDirStoreLockHeedsTheContext(t *testing.T) {
	dir, ctx := t.TempDir(), t.Context()
	s := registry.NewDirStore(dir)
	must(t, s.PutIfAbsent(ctx, "k", []byte("one")))
	_, tag, err := s.Get(ctx, "k")
	must(t, err)
	f, err := os.OpenFile(filepath.Join(dir, ".lock"), os.O_RDWR|os.O_CREATE, 0o666)
	must(t, err)
	must(t, unix.Flock(int(f.Fd()), unix.LOCK_EX))
	short, cancel := context.WithTimeout(ctx, 50*time.Millisecond)
	defer cancel()
	wantKind(t, s.PutIfUnchanged(short, "k", []byte("two"), tag), manifest.KindTimeout)
	if _, _, err := s.Get(ctx, "k"); err != nil {
		t.Errorf("a reader under a held lock: %v", err)
	}
	must(t, s.PutIfAbsent(ctx, "new", nil))
	f.Close()
	must(t, s.PutIfUnchanged(ctx, "k", []byte("two"), tag))
}

func TestDirStoreInAFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "f")
	must(t, os.WriteFile(file, nil, 0o600))
	s := registry.NewDirStore(file)
	err := s.PutIfAbsent(t.Context(), "k", nil)
	wantKind(t, err, manifest.KindInvalid)
	wantText(t, err, "not a directory")
	_, _, err = s.Get(t.Context(), "k")
	wantKind(t, err, manifest.KindInvalid)
}
