package filestore_test

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/pinfs/pinfs/backends"
	"github.com/pinfs/pinfs/backends/filestore"
	"github.com/pinfs/pinfs/manifest"
)

// write makes a file with its directories.
func write(t *testing.T, path, data string) {
	t.Helper()
	must(t, os.MkdirAll(filepath.Dir(path), 0o755))
	must(t, os.WriteFile(path, []byte(data), 0o644))
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func names(t *testing.T, s *filestore.Store, uri string) ([]string, error) {
	t.Helper()
	var got []string
	err := s.List(t.Context(), uri, func(i backends.Info) error {
		if want := strings.TrimSuffix(uri, "/") + "/" + i.Name; !i.Single && i.Ref != want {
			t.Errorf("got Ref %q, want %q", i.Ref, want)
		}
		got = append(got, i.Name)
		return nil
	})
	slices.Sort(got)
	return got, err
}

func wantNames(t *testing.T, uri string, want ...string) {
	t.Helper()
	got, err := names(t, filestore.New(), uri)
	if err != nil || !slices.Equal(got, want) {
		t.Fatalf("List(%q): got %q, error %v, want %q", uri, got, err, want)
	}
}

func wantErr(t *testing.T, err error, kind manifest.Kind, words ...string) {
	t.Helper()
	if err == nil || manifest.KindOf(err) != kind {
		t.Fatalf("got error %v, kind %q, want %q", err, manifest.KindOf(err), kind)
	}
	for _, word := range words {
		if !strings.Contains(err.Error(), word) {
			t.Fatalf("got %q, want %q in it", err, word)
		}
	}
}

func wantListErr(t *testing.T, uri string, kind manifest.Kind, words ...string) {
	t.Helper()
	_, err := names(t, filestore.New(), uri)
	wantErr(t, err, kind, words...)
}

func TestLinksToFilesInsideTheTree(t *testing.T) {
	dir := t.TempDir()
	write(t, dir+"/tree/data/a", "aa")
	must(t, os.Symlink("data/a", dir+"/tree/relative"))
	must(t, os.Symlink(dir+"/tree/data/a", dir+"/tree/absolute"))
	must(t, os.Symlink("../relative", dir+"/tree/data/twice"))
	wantNames(t, "file://"+dir+"/tree", "absolute", "data/a", "data/twice", "relative")
	must(t, os.Symlink("tree", dir+"/root"))
	wantNames(t, "file://"+dir+"/root", "absolute", "data/a", "data/twice", "relative")
	wantNames(t, "file://"+dir+"/root/", "absolute", "data/a", "data/twice", "relative")
}

func TestLinksThatCannotBeRecorded(t *testing.T) {
	tests := map[string]struct{ target, word string }{
		"out of the tree": {"../outside/x", "is not below"},
		"prefix of root":  {"../tree-2/x", "is not below"},
		"directory":       {"data", "link to the directory"},
		"the tree itself": {".", "link to the directory"},
		"above":           {"..", "link to the directory"},
		"nowhere":         {"nothing", "leads nowhere"},
		"itself":          {"link", "leads nowhere"},
		"host file":       {"/etc/passwd", "link to /etc/passwd"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			for _, f := range []string{"/tree/data/a", "/outside/x", "/tree-2/x"} {
				write(t, dir+f, "x")
			}
			must(t, os.Symlink(tc.target, dir+"/tree/link"))
			wantListErr(t, "file://"+dir+"/tree", manifest.KindInvalid, dir+"/tree/link: a symbolic link", tc.word, "; put what it points to")
		})
	}
}

func TestRootLinkToAFile(t *testing.T) {
	dir := t.TempDir()
	write(t, dir+"/a", "x")
	must(t, os.Symlink("a", dir+"/link"))
	wantNames(t, "file://"+dir+"/link", "link")
}

func TestWhatIsNoFileIsRefused(t *testing.T) {
	makers := map[string]func(path string) error{
		"a FIFO":   func(p string) error { return syscall.Mkfifo(p, 0o644) },
		"a device": func(p string) error { return os.Symlink("/dev/null", p) }, // as root of the listing
		"a socket": func(p string) error {
			l, err := net.ListenUnix("unix", &net.UnixAddr{Name: p, Net: "unix"})
			if err != nil {
				return err
			}
			l.SetUnlinkOnClose(false)
			return l.Close()
		},
	}
	for what, make := range makers {
		t.Run(what, func(t *testing.T) {
			dir, err := os.MkdirTemp("", "p") // a socket's path is short
			must(t, err)
			defer os.RemoveAll(dir) //nolint:errcheck // a temporary directory
			write(t, dir+"/sub/a", "x")
			must(t, make(dir+"/sub/odd"))
			wantListErr(t, "file://"+dir+"/sub/odd", manifest.KindInvalid, dir+"/sub/odd: "+what)
			if what != "a device" {
				wantListErr(t, "file://"+dir, manifest.KindInvalid, dir+"/sub/odd: "+what)
			}
		})
	}
}

func TestNamesThatAreNotUTF8(t *testing.T) {
	for _, name := range []string{"a\xff", "dir\xfe/b", "\xc3\x28"} {
		dir := t.TempDir()
		write(t, dir+"/"+name, "x")
		wantListErr(t, "file://"+dir, manifest.KindInvalid, `\x`, "is not UTF-8", "; rename it")
	}
	dir := t.TempDir()
	write(t, dir+"/a\xff", "x")
	wantListErr(t, "file://"+dir+"/a\xff", manifest.KindInvalid, "is not UTF-8")
}

func TestEmptyDirectoriesAreLeftOut(t *testing.T) {
	dir := t.TempDir()
	must(t, os.MkdirAll(dir+"/empty/deeper", 0o755))
	wantListErr(t, "file://"+dir, manifest.KindNoSource, "the directory holds no files")
	write(t, dir+"/a", "")
	wantNames(t, "file://"+dir, "a")
}

func TestURIForms(t *testing.T) {
	dir := t.TempDir()
	write(t, dir+"/a", "x")
	for _, uri := range []string{"file://localhost" + dir, "FILE://" + dir, "file://" + dir + "//", "file:///." + dir} {
		got, err := "", filestore.New().List(t.Context(), uri, func(i backends.Info) error {
			if want := "file://" + dir + "/a"; i.Ref != want {
				t.Errorf("List(%q): got Ref %q, want %q", uri, i.Ref, want)
			}
			return nil
		})
		if err != nil {
			t.Errorf("List(%q): got %q, error %v", uri, got, err)
		}
	}
	for _, uri := range []string{"file://", "file://host/x", "file://rel", "s3://b/k", "/plain", "file:///a\x00b"} {
		wantListErr(t, uri, manifest.KindInvalid)
		_, err := filestore.New().Digest(t.Context(), backends.Info{Ref: uri})
		wantErr(t, err, manifest.KindInvalid)
	}
}

// A directory is read in batches; one that vanishes or becomes a link meanwhile
// is no way out of the tree.
func TestTreeThatChangesWhileListed(t *testing.T) {
	dir := t.TempDir()
	write(t, dir+"/out/secret", "x")
	for _, sub := range []string{"a", "b", "c"} {
		write(t, dir+"/tree/"+sub+"/x", "x")
	}
	s := filestore.New()
	s.SetBefore(func(op, path string) error {
		if op == "open" && path == dir+"/tree/b" {
			return os.RemoveAll(path)
		}
		return nil
	})
	got, err := names(t, s, "file://"+dir+"/tree")
	if err != nil || !slices.Equal(got, []string{"a/x", "c/x"}) {
		t.Fatalf("got %q, error %v, want a/x and c/x", got, err)
	}
	s.SetBefore(func(op, path string) error {
		if op == "open" && path == dir+"/tree/a" {
			return errors.Join(os.RemoveAll(path), os.Symlink(dir+"/out", path))
		}
		return nil
	})
	if got, err = names(t, s, "file://"+dir+"/tree"); err == nil && slices.Contains(got, "a/secret") {
		t.Fatalf("got %q through a link that took the place of a directory", got)
	}
}

func TestWideAndDeepTreesLeaveNoDescriptors(t *testing.T) {
	dir := t.TempDir()
	deep := strings.Repeat("/d", 200)
	write(t, dir+deep+"/x", "x")
	for _, n := range []string{"1", "2", "3"} {
		write(t, dir+"/w"+n+"/x", "x")
	}
	before := descriptors(t)
	wantNames(t, "file://"+dir, strings.TrimPrefix(deep, "/")+"/x", "w1/x", "w2/x", "w3/x")
	err := filestore.New().List(t.Context(), "file://"+dir, func(backends.Info) error { return errors.New("enough") })
	if err == nil {
		t.Error("got no error of fn")
	}
	if after := descriptors(t); after != before {
		t.Errorf("got %d descriptors, want %d as before", after, before)
	}
}

func descriptors(t *testing.T) int {
	t.Helper()
	fds, err := os.ReadDir("/proc/self/fd")
	must(t, err)
	return len(fds)
}
