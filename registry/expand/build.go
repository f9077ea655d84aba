package expand

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/pinfs/pinfs/backends"
	"github.com/pinfs/pinfs/manifest"
	"github.com/pinfs/pinfs/manifest/snapshot"
)

const (
	parallelLists = 16
	// maxReferences is how many references of one version are expanded while
	// somebody waits for it to open; the rest stay as they are.
	maxReferences = 10_000
)

// build lists the unpinned references of s and makes the snapshot of v. The caller
// has v's turn.
func (x *Expander) build(ctx context.Context, s *snapshot.Snapshot, key string, v *version) error {
	if x.o.Timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, x.o.Timeout)
		defer cancel()
	}
	b, err := snapshot.NewBuilder(snapshot.BuilderOptions{TempDir: x.o.Dir, AllowShadowed: true, Meta: s.Meta()})
	if err != nil {
		return err
	}
	defer b.Close() //nolint:errcheck // what it spilled has no name
	w := &work{x: x, s: s, b: b, seen: map[string]struct{}{}, now: time.Now().UTC()}
	todo, err := w.pinned(ctx)
	if err != nil {
		return err
	}
	if err := w.expand(ctx, todo); err != nil {
		return err
	}
	path := filepath.Join(x.o.Dir, "found-"+rand.Text())
	if _, err := b.Build(ctx, path); err != nil {
		return err
	}
	found := Found{Key: key, Path: path, References: w.refs}
	if x.o.OnFound != nil {
		if err := x.o.OnFound(found); err != nil {
			return errors.Join(err, os.Remove(path))
		}
	}
	x.done(v, found)
	return nil
}

// work is one build under way.
type work struct {
	x   *Expander
	s   *snapshot.Snapshot
	now time.Time
	// refs has a place for each reference, filled in by its goroutine.
	refs []Reference

	mu   sync.Mutex // guards what follows
	b    *snapshot.Builder
	seen map[string]struct{} // paths that were found
}

// pinned adds all entries that stay, and gives the others.
func (w *work) pinned(ctx context.Context) (todo []manifest.Entry, err error) {
	for e, err := range w.s.Entries() {
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return nil, err
		}
		switch {
		case !w.x.expands(e):
			err = w.b.Add(e)
		case len(todo) >= maxReferences && !w.x.o.Files:
			w.x.fail(e.Ref, &manifest.Error{Kind: manifest.KindLimit, Op: "expand", Ref: e.Ref,
				Msg: fmt.Sprintf("the version has more than %d unpinned references", maxReferences), Hint: "record it with checksums"})
			err = w.b.Add(e)
		default:
			todo = append(todo, e)
		}
		if err != nil {
			return nil, err
		}
	}
	return todo, nil
}

// expands tells whether Open has to look at the source of e.
func (x *Expander) expands(e manifest.Entry) bool {
	if e.Object().Pin.Kind != manifest.PinNone || !x.wants(e.Path) {
		return false
	}
	switch manifest.SourceOf(e.Ref) {
	case manifest.SourceNone, manifest.SourceBlob:
		return false
	}
	return e.Digest == e.Ref || x.o.Files
}

// wants tells whether a reference at path, or something below it, is asked for.
func (x *Expander) wants(path string) bool {
	below := func(a, b string) bool { return a == b || strings.HasPrefix(a, b+"/") }
	return x.o.Below == "" || below(path, x.o.Below) || below(x.o.Below, path)
}

func (x *Expander) fail(ref string, err error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.failures[ref] = err
}

// expand looks at all of todo, many at once.
func (w *work) expand(ctx context.Context, todo []manifest.Entry) error {
	w.refs = make([]Reference, len(todo))
	g, inner := errgroup.WithContext(ctx)
	g.SetLimit(parallelLists)
	for i, e := range todo {
		g.Go(func() error {
			r, err := w.reference(inner, e)
			w.refs[i] = r
			return err
		})
	}
	err := g.Wait()
	if ctx.Err() != nil {
		return backends.Ended(ctx, "expand", "unpinned references")
	}
	return err
}

// reference expands one; the error is one after which all are to be tried again.
func (w *work) reference(ctx context.Context, e manifest.Entry) (Reference, error) {
	r := Reference{Path: e.Path, Ref: e.Ref, Time: w.now}
	found, err := w.list(ctx, e, &r)
	if err != nil {
		if passing(ctx, err) {
			return r, err
		}
		r.Err = err
		return r, w.add(e)
	}
	for _, one := range found {
		if one.Path != e.Path {
			taken, err := w.taken(one.Path)
			if err != nil {
				return r, err
			}
			if taken {
				r.LeftOut++
				continue
			}
		}
		if err := w.add(one); err != nil {
			return r, err
		}
		r.Objects++
	}
	return r, nil
}

// passing tells whether the same may go well later.
func passing(ctx context.Context, err error) bool {
	switch manifest.KindOf(err) {
	case manifest.KindUnreachable, manifest.KindThrottled, manifest.KindTimeout, manifest.KindCanceled:
		return true
	}
	return ctx.Err() != nil
}

func (w *work) add(e manifest.Entry) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.b.Add(e)
}

// taken tells whether another file has the path; if not, it is taken from now on.
func (w *work) taken(path string) (bool, error) {
	node, there, err := w.s.Find(path)
	if err != nil || there && (!node.Dir || w.s.Summary().Shadowed > 0) { // a directory may hide a file
		return true, err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	_, seen := w.seen[path]
	w.seen[path] = struct{}{}
	return seen, nil
}

// list gives the entries that e stands for, pinned.
func (w *work) list(ctx context.Context, e manifest.Entry, r *Reference) ([]manifest.Entry, error) {
	var infos []backends.Info
	err := w.x.o.Backend.List(ctx, e.Ref, func(info backends.Info) error {
		if !info.Single && manifest.CheckPath(e.Path+"/"+info.Name) != nil {
			r.LeftOut++
			return nil
		}
		if max := w.x.o.MaxObjects; max > 0 && int64(len(infos)) == max {
			return errTooMany
		}
		infos = append(infos, info)
		return nil
	})
	switch {
	case errors.Is(err, errTooMany):
		return nil, &manifest.Error{Kind: manifest.KindLimit, Op: "expand", Ref: e.Ref,
			Msg: fmt.Sprintf("it means more than %d objects", w.x.o.MaxObjects), Hint: "allow more with --max-objects, or record it with checksums"}
	case err != nil:
		return nil, err
	case len(infos) == 0:
		return nil, backends.NoSource("expand", e.Ref, "there is no object whose name can be a path")
	}
	if err := w.digest(ctx, infos); err != nil {
		return nil, err
	}
	r.Dir = !infos[0].Single
	found := make([]manifest.Entry, len(infos))
	for i, info := range infos {
		path := e.Path
		if !info.Single {
			path += "/" + info.Name
		}
		found[i] = info.Entry(path)
	}
	return found, nil
}

var errTooMany = errors.New("too many objects")

// digest completes those that the listing could not.
func (w *work) digest(ctx context.Context, infos []backends.Info) error {
	if infos[0].Digest != "" {
		return nil
	}
	return backends.DigestMany(ctx, w.x.o.Backend, infos)
}
