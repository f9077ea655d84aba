package filestore

import (
	"context"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"unicode/utf8"

	"github.com/pinfs/pinfs/backends"
)

// batch is how many names one call reads, and asks the facts of.
const batch = 256

// List implements backends.Backend: the file that uri names, or all files below
// that directory. The package comment says what is an error. What vanishes while
// it is listed is left out.
func (s *Store) List(ctx context.Context, uri string, fn func(backends.Info) error) error {
	path, dir, err := rootOf(uri)
	if err != nil {
		return err
	}
	root, err := s.root(ctx, uri, path)
	if err != nil {
		return err
	}
	switch {
	case root.fi.Mode().IsRegular() && !dir:
		info := infoOf(path, root.fi)
		info.Name, info.Single = filepath.Base(path), true
		if err := checkName(path, info.Name); err != nil {
			return err
		}
		return fn(info)
	case root.fi.Mode().IsRegular():
		return backends.NoSource("list", uri, "it is a file, not a directory")
	case !root.fi.IsDir():
		return unlistable(path, kindOfFile(root.fi.Mode())+" can't be recorded", "")
	}
	w := walk{s: s, ctx: ctx, uri: uri, root: path, real: root.real, fn: fn, dirs: []string{""}}
	return w.run()
}

// rootFacts are what a listing must know of its root.
type rootFacts struct {
	fi   fs.FileInfo
	real string // with links resolved
}

func (s *Store) root(ctx context.Context, uri, path string) (rootFacts, error) {
	facts, err := call(ctx, &s.guard, "list", uri, func() (rootFacts, error) {
		if err := s.enter("stat", path); err != nil {
			return rootFacts{}, err
		}
		fi, err := os.Stat(path)
		if err != nil {
			return rootFacts{}, err
		}
		real, err := filepath.EvalSymlinks(path)
		return rootFacts{fi, real}, err
	}, nil)
	switch {
	case missing(err):
		return facts, backends.NoSource("list", uri, "no such file or directory")
	case err != nil:
		return facts, failed("list", uri, err)
	}
	return facts, nil
}

// walk is one listing of a tree, a directory at a time.
type walk struct {
	s     *Store
	ctx   context.Context
	uri   string
	root  string // as given
	real  string // with links resolved
	fn    func(backends.Info) error
	dirs  []string // still to read, relative; "" is the root
	found bool
}

func (w *walk) run() error {
	for len(w.dirs) > 0 {
		last := len(w.dirs) - 1
		dir := w.dirs[last]
		w.dirs = w.dirs[:last]
		if err := w.dir(dir); err != nil {
			return err
		}
	}
	if !w.found {
		return backends.NoSource("list", w.uri, "the directory holds no files")
	}
	return nil
}

func (w *walk) dir(name string) error {
	f, err := w.open(name)
	if missing(err) && name != "" {
		return nil
	}
	if err != nil {
		return failed("list", w.ref(name), err)
	}
	defer w.s.shut(f) //nolint:errcheck // only read
	for {
		items, err := w.read(f, name)
		for _, it := range items {
			if err := w.item(it); err != nil {
				return err
			}
		}
		if err == io.EOF { //nolint:errorlint // os.File's own rule
			return nil
		}
		if err != nil {
			return failed("list", w.ref(name), err)
		}
	}
}

// open opens a directory; below the root not through a link that has taken its
// place.
func (w *walk) open(name string) (*file, error) {
	path := w.path(name)
	flags := os.O_RDONLY | syscall.O_DIRECTORY | syscall.O_NONBLOCK
	if name != "" {
		flags |= syscall.O_NOFOLLOW
	}
	return call(w.ctx, &w.s.guard, "list", w.ref(name), func() (*file, error) {
		if err := w.s.enter("open", path); err != nil {
			return nil, err
		}
		f, err := os.OpenFile(path, flags, 0)
		return &file{f: f, path: path, ref: "file://" + path}, err
	}, func(f *file) { _ = f.f.Close() })
}

// item is one name of a directory: its facts, and those of a link's target.
type item struct {
	name   string // relative to the root
	fi     fs.FileInfo
	link   bool
	target string // resolved; "" when it leads nowhere
}

// read gives the next names of a directory; the error may come with some.
func (w *walk) read(f *file, dir string) ([]item, error) {
	type read struct {
		items []item
		end   error
	}
	r, err := call(w.ctx, &w.s.guard, "list", f.ref, func() (read, error) {
		if err := w.s.enter("readdir", f.path); err != nil {
			return read{}, err
		}
		entries, end := f.f.ReadDir(batch)
		items := make([]item, 0, len(entries))
		for _, e := range entries {
			it, err := w.facts(strings.TrimPrefix(dir+"/"+e.Name(), "/"))
			if missing(err) {
				continue
			}
			if err != nil {
				return read{}, err
			}
			items = append(items, it)
		}
		return read{items, end}, nil
	}, nil)
	if err != nil {
		return nil, err
	}
	return r.items, r.end
}

func (w *walk) facts(name string) (item, error) {
	it := item{name: name}
	path := w.path(name)
	fi, err := os.Lstat(path)
	if err != nil || fi.Mode().Type() != fs.ModeSymlink {
		it.fi = fi
		return it, err
	}
	it.link, it.fi = true, fi
	if target, err := filepath.EvalSymlinks(path); err == nil {
		if fi, err := os.Stat(target); err == nil {
			it.fi, it.target = fi, target
		}
	}
	return it, nil
}

// item gives a file to fn, keeps a directory for later, refuses the rest.
func (w *walk) item(it item) error {
	path := w.path(it.name)
	if err := checkName(path, it.name); err != nil {
		return err
	}
	if it.link {
		if err := w.checkLink(path, it); err != nil {
			return err
		}
	}
	switch {
	case it.fi.IsDir():
		w.dirs = append(w.dirs, it.name)
		return nil
	case !it.fi.Mode().IsRegular():
		return unlistable(path, kindOfFile(it.fi.Mode())+" can't be recorded", "remove it, or give the directories beside it one by one")
	}
	if err := backends.Ended(w.ctx, "list", w.uri); err != nil {
		return err
	}
	info := infoOf(path, it.fi)
	info.Name = it.name
	w.found = true
	return w.fn(info)
}

func (w *walk) checkLink(path string, it item) error {
	const hint = "put what it points to in its place, or remove it"
	switch {
	case it.target == "":
		return unlistable(path, "a symbolic link that leads nowhere", hint)
	case it.fi.IsDir():
		return unlistable(path, "a symbolic link to the directory "+it.target+", which is not followed", hint)
	case !strings.HasPrefix(it.target, strings.TrimSuffix(w.real, "/")+"/"):
		return unlistable(path, "a symbolic link to "+it.target+", which is not below "+w.root, hint)
	}
	return nil
}

// checkName refuses what JSON can't hold.
func checkName(path, name string) error {
	if utf8.ValidString(name) {
		return nil
	}
	return unlistable(strings.ToValidUTF8(path, "\uFFFD"), "the name "+strconv.Quote(name)+" is not UTF-8", "rename it")
}

func (w *walk) path(name string) string {
	if name == "" {
		return w.root
	}
	return join(w.root, name)
}

func (w *walk) ref(name string) string { return "file://" + w.path(name) }

func infoOf(path string, fi fs.FileInfo) backends.Info {
	return backends.Info{Ref: "file://" + path, Size: fi.Size(), ModTime: fi.ModTime()}
}
