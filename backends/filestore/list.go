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
	if err := s.outside(ctx, "list", uri, path); err != nil {
		return rootFacts{}, failed("list", uri, err)
	}
	sh, err := s.shares.of(ctx, "list", uri, path)
	if err != nil {
		return rootFacts{}, err
	}
	facts, err := call(ctx, sh, "list", uri, func() (rootFacts, error) {
		if err := s.enter("stat", path); err != nil {
			return rootFacts{}, err
		}
		fi, err := os.Stat(path)
		if err != nil {
			return rootFacts{}, err
		}
		real, err := filepath.EvalSymlinks(path)
		if err == nil {
			err = s.rules.RealPath(real)
		}
		if st, ok := fi.Sys().(*syscall.Stat_t); ok && err == nil {
			err = s.notOurs(st.Dev)
		}
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

// dir lists one directory, in one call if it is small.
func (w *walk) dir(name string) error {
	sh, err := w.s.shares.of(w.ctx, "list", w.ref(name), w.path(name))
	if err != nil {
		return err
	}
	var f *os.File
	for {
		p, err := w.next(sh, name, f)
		if err == nil {
			f = p.rest
			err = w.give(p.items)
		} else if missing(err) && name != "" && f == nil {
			return nil
		} else {
			err = failed("list", w.ref(name), err)
		}
		if err != nil && f != nil {
			_ = shut(sh, f, w.ref(name))
		}
		if err != nil || f == nil {
			return err
		}
	}
}

func (w *walk) give(items []item) error {
	for _, it := range items {
		if err := w.item(it); err != nil {
			return err
		}
	}
	return nil
}

// item is one name of a directory: its facts, and those of a link's target.
type item struct {
	name   string // relative to the root
	fi     fs.FileInfo
	link   bool
	target string // resolved; "" when it leads nowhere
}

// page is a piece of a directory.
type page struct {
	items []item
	rest  *os.File // to read on from; nil at the end
}

// next gives the next names of a directory, which it opens when f is nil and
// closes at the end or when it fails.
func (w *walk) next(sh *share, name string, f *os.File) (page, error) {
	return call(w.ctx, sh, "list", w.ref(name), func() (p page, err error) {
		if f == nil {
			if f, err = w.open(name); err != nil {
				return page{}, err
			}
		}
		p, err = w.read(name, f)
		if err != nil || p.rest == nil {
			_ = f.Close()
		}
		return p, err
	}, func(p page) {
		if p.rest != nil {
			_ = p.rest.Close()
		}
	})
}

// open opens a directory; below the root not through a link that has taken its
// place.
func (w *walk) open(name string) (*os.File, error) {
	flags := os.O_RDONLY | syscall.O_DIRECTORY | syscall.O_NONBLOCK
	if name != "" {
		flags |= syscall.O_NOFOLLOW
	}
	if err := w.s.enter("open", w.path(name)); err != nil {
		return nil, err
	}
	return os.OpenFile(w.path(name), flags, 0)
}

func (w *walk) read(name string, f *os.File) (page, error) {
	if err := w.s.enter("readdir", f.Name()); err != nil {
		return page{}, err
	}
	entries, err := f.ReadDir(batch)
	if err == nil && len(entries) < batch { // perhaps the end: names that vanish make it short too
		var more []fs.DirEntry
		more, err = f.ReadDir(batch)
		entries = append(entries, more...)
	}
	p := page{items: make([]item, 0, len(entries)), rest: f}
	if err == io.EOF { //nolint:errorlint // os.File's own rule
		p.rest = nil
	} else if err != nil {
		return page{}, err
	}
	for _, e := range entries {
		it, err := w.facts(strings.TrimPrefix(name+"/"+e.Name(), "/"))
		switch {
		case missing(err):
		case err != nil:
			return page{}, err
		default:
			p.items = append(p.items, it)
		}
	}
	return p, nil
}

func (w *walk) facts(name string) (item, error) {
	it := item{name: name}
	path := w.path(name)
	if err := w.s.rules.RealPath(join(w.real, name)); err != nil {
		return it, failed("list", w.ref(name), err)
	}
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
