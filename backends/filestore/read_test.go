package filestore_test

import (
	"errors"
	"fmt"
	"io"
	"os"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/pinfs/pinfs/backends"
	"github.com/pinfs/pinfs/backends/filestore"
	"github.com/pinfs/pinfs/manifest"
)

// record gives the object of a file as it is now.
func record(t *testing.T, path string) manifest.Object {
	t.Helper()
	info, err := filestore.New().Digest(t.Context(), backends.Info{Ref: "file://" + path})
	must(t, err)
	return info.Entry("x").Object()
}

func read(t *testing.T, s *filestore.Store, obj manifest.Object) (string, error) {
	t.Helper()
	body, _, err := s.Open(t.Context(), obj, 0, -1)
	if err != nil {
		return "", err
	}
	data, err := io.ReadAll(body)
	must(t, body.Close())
	return string(data), err
}

func TestMismatchInTheWordsOfWandb(t *testing.T) {
	path := t.TempDir() + "/a b%20.txt"
	write(t, path, "old")
	obj := record(t, path)
	write(t, path, "newer")
	want := fmt.Sprintf("Local file reference: Digest mismatch for path '%s': expected '%s' but found '%s'",
		path, digest([]byte("old")), digest([]byte("newer")))
	_, err := read(t, filestore.New(), obj)
	wantErr(t, err, manifest.KindChanged, want)
	_, err = filestore.New().Stat(t.Context(), obj)
	wantErr(t, err, manifest.KindChanged, want)
	write(t, path, "odd") // of the same size
	_, err = filestore.New().Stat(t.Context(), obj)
	wantErr(t, err, manifest.KindChanged, "but found '"+digest([]byte("odd"))+"'")
}

func TestMismatchOfALargeFileTellsItsSize(t *testing.T) {
	path := t.TempDir() + "/big"
	write(t, path, "old")
	obj := record(t, path)
	must(t, os.Truncate(path, filestore.MaxNamed+1))
	s := filestore.New()
	var reads atomic.Int64
	s.SetBefore(func(op, _ string) error {
		if op == "read" {
			reads.Add(1)
		}
		return nil
	})
	_, err := read(t, s, obj)
	wantErr(t, err, manifest.KindChanged, "but found 'a file of 1073741825 bytes'")
	if reads.Load() != 0 {
		t.Errorf("got %d reads of the large file, want none", reads.Load())
	}
}

// W&B's Go client writes size 0 for what it does not know.
func TestSizeZeroMayBeUnknown(t *testing.T) {
	path := t.TempDir() + "/a"
	write(t, path, "data")
	for _, size := range []int64{0, manifest.SizeUnknown} {
		obj := record(t, path)
		obj.Size = size
		if got, err := read(t, filestore.New(), obj); got != "data" || err != nil {
			t.Errorf("size %d: got %q, error %v, want the data", size, got, err)
		}
		if info, err := filestore.New().Stat(t.Context(), obj); err != nil || info.Size != 4 {
			t.Errorf("size %d: got %d, error %v, want 4", size, info.Size, err)
		}
	}
	write(t, path, "")
	empty := record(t, path)
	write(t, path, "data")
	_, err := read(t, filestore.New(), empty)
	wantErr(t, err, manifest.KindChanged, "expected '1B2M2Y8AsgTpgAmY7PhCfg=='")
}

func TestOpenDoesNotWaitForAFIFO(t *testing.T) {
	replace := map[string]func(path string) error{
		"a FIFO":      func(p string) error { return syscall.Mkfifo(p, 0o644) },
		"a directory": func(p string) error { return os.Mkdir(p, 0o755) },
		"a device":    func(p string) error { return os.Symlink("/dev/zero", p) },
	}
	for what, make := range replace {
		path := t.TempDir() + "/a"
		write(t, path, "data")
		obj := record(t, path)
		must(t, os.Remove(path))
		must(t, make(path))
		_, err := read(t, filestore.New(), obj)
		wantErr(t, err, manifest.KindChanged, "but found '"+what+"'")
		_, err = filestore.New().Stat(t.Context(), obj)
		wantErr(t, err, manifest.KindChanged, "but found '"+what+"'")
		_, err = filestore.New().Digest(t.Context(), backends.Info{Ref: obj.Ref})
		wantErr(t, err, manifest.KindChanged, "is "+what)
	}
}

func TestRecordedPathMayBecomeALink(t *testing.T) {
	dir := t.TempDir()
	write(t, dir+"/a", "data")
	obj := record(t, dir+"/a")
	must(t, os.Rename(dir+"/a", dir+"/moved"))
	must(t, os.Symlink("moved", dir+"/a"))
	if got, err := read(t, filestore.New(), obj); got != "data" || err != nil {
		t.Errorf("got %q, error %v, want the data", got, err)
	}
}

// changes are what may happen to a file while it is read.
func changes() map[string]func(path string) error {
	return map[string]func(path string) error{
		"grown": func(p string) error {
			f, err := os.OpenFile(p, os.O_APPEND|os.O_WRONLY, 0)
			if err != nil {
				return err
			}
			defer f.Close() //nolint:errcheck // a test file
			_, err = f.WriteString("more")
			return err
		},
		"cut":       func(p string) error { return os.Truncate(p, 1<<20+1) },
		"rewritten": func(p string) error { return os.WriteFile(p, make([]byte, 3<<20), 0o644) },
	}
}

func TestChangedWhileRead(t *testing.T) {
	all := changes()
	all["replaced"] = func(p string) error {
		if err := os.WriteFile(p+".new", make([]byte, 3<<20), 0o644); err != nil {
			return err
		}
		return os.Rename(p+".new", p)
	}
	all["replaced by one of the same size and time"] = func(p string) error {
		fi, err := os.Stat(p)
		return errors.Join(err, all["replaced"](p), os.Chtimes(p, fi.ModTime(), fi.ModTime()))
	}
	for name, change := range all {
		t.Run(name, func(t *testing.T) {
			path := t.TempDir() + "/a"
			write(t, path, string(make([]byte, 3<<20)))
			_, err := changing(path, change).Digest(t.Context(), backends.Info{Ref: "file://" + path})
			wantErr(t, err, manifest.KindChanged, "file://"+path, "changed while it was read", "expected '3145728 bytes of")
		})
	}
}

func TestChangedUnderAStream(t *testing.T) {
	for name, change := range changes() {
		t.Run(name, func(t *testing.T) {
			path := t.TempDir() + "/a"
			write(t, path, string(make([]byte, 3<<20)))
			obj := record(t, path)
			got, err := read(t, changing(path, change), obj)
			wantErr(t, err, manifest.KindChanged, "file://"+path)
			if len(got) != 1<<20 {
				t.Errorf("got %d bytes, want those before the change", len(got))
			}
		})
	}
}

// changing is a store that changes path before its second read.
func changing(path string, change func(string) error) *filestore.Store {
	s := filestore.New()
	var reads atomic.Int64
	s.SetBefore(func(op, _ string) error {
		if op == "read" && reads.Add(1) == 2 {
			return change(path)
		}
		return nil
	})
	return s
}

func TestErrorsOfTheSystem(t *testing.T) {
	tests := map[syscall.Errno][3]manifest.Kind{ // list, stat, read
		syscall.EACCES:       {manifest.KindDenied, manifest.KindDenied, manifest.KindDenied},
		syscall.EPERM:        {manifest.KindDenied, manifest.KindDenied, manifest.KindDenied},
		syscall.EIO:          {manifest.KindUnreachable, manifest.KindUnreachable, manifest.KindUnreachable},
		syscall.ESTALE:       {manifest.KindUnreachable, manifest.KindUnreachable, manifest.KindUnreachable},
		syscall.EMFILE:       {manifest.KindUnreachable, manifest.KindUnreachable, manifest.KindUnreachable},
		syscall.ENOENT:       {manifest.KindNoSource, manifest.KindGone, manifest.KindOther},
		syscall.ENOTDIR:      {manifest.KindNoSource, manifest.KindGone, manifest.KindOther},
		syscall.ENAMETOOLONG: {manifest.KindInvalid, manifest.KindInvalid, manifest.KindInvalid},
	}
	for errno, want := range tests {
		path := t.TempDir() + "/a"
		write(t, path, "data")
		obj := record(t, path)
		inject := func(at string) *filestore.Store {
			s := filestore.New()
			s.SetBefore(func(op, path string) error {
				if op != at {
					return nil
				}
				return &os.PathError{Op: op, Path: path, Err: errno}
			})
			return s
		}
		_, err := names(t, inject("stat"), obj.Ref)
		wantErr(t, err, want[0], obj.Ref)
		_, err = inject("open").Stat(t.Context(), obj)
		wantErr(t, err, want[1], obj.Ref)
		_, err = read(t, inject("read"), obj)
		wantErr(t, err, want[2], obj.Ref, errno.Error())
	}
}
