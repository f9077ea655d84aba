package s3store

import (
	"context"
	"errors"
	"strings"

	"github.com/pinfs/pinfs/backends"
	"github.com/pinfs/pinfs/manifest"
)

// List finds what uri means: the object that it names, else all below it.
func (s *Store) List(ctx context.Context, uri string, fn func(backends.Info) error) error {
	p, err := parseURI("list", uri)
	if err != nil {
		return err
	}
	l := &listing{store: s, uri: uri, at: p, fn: fn}
	if p.version != "" || p.key != "" && !strings.HasSuffix(p.key, "/") {
		if done, err := l.single(ctx); done || err != nil {
			return err
		}
		l.at.key += "/"
	}
	return l.prefix(ctx)
}

// listing is one call of List. One goroutine, but for request.
type listing struct {
	store *Store
	uri   string
	at    place // its key is the prefix: "" or with a trailing slash
	fn    func(backends.Info) error

	last    string // key of the object before
	given   int    // objects that fn got
	markers int    // folder markers that it did not
}

// single gives the one object at l.at; false when there is none.
func (l *listing) single(ctx context.Context) (bool, error) {
	var st state
	err := l.once(ctx, func(ctx context.Context) (err error) {
		st, err = l.store.head(ctx, l.at, false)
		return err
	})
	switch {
	case err == nil && l.at.version == "" && st.marker(l.at.key):
		return false, nil
	case err == nil:
		if l.at.version != "" { // some servers don't repeat it
			st.version = l.at.version
		}
		info := st.info(l.at)
		info.Single = true
		return true, l.fn(info)
	case manifest.KindOf(err) == manifest.KindNoSource && l.at.version == "":
		return false, nil
	}
	return false, err
}

// prefix gives all objects below l.at.
func (l *listing) prefix(ctx context.Context) error {
	if err := l.pages(ctx); err != nil {
		return err
	}
	switch {
	case l.given > 0:
		return nil
	case l.markers > 0:
		return backends.NoSource("list", l.uri, "only folder markers are there, no object")
	}
	return backends.NoSource("list", l.uri, "no object is there, nor below it")
}

// pages fetches page after page while the one before is given to l.fn: two pages
// are in memory at most.
func (l *listing) pages(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	ready, done := make(chan page), make(chan struct{})
	var fetchErr error
	go func() {
		defer close(done)
		defer close(ready)
		fetchErr = l.fetch(ctx, ready)
	}()
	err := l.give(ready)
	cancel()
	<-done
	if err != nil {
		return err
	}
	return fetchErr
}

func (l *listing) fetch(ctx context.Context, ready chan<- page) error {
	next, first, err := l.start(ctx)
	for p := first; ; {
		if err != nil {
			return err
		}
		select {
		case ready <- p:
		case <-ctx.Done():
			return backends.Ended(ctx, "list", l.uri)
		}
		if p.last {
			return nil
		}
		p, err = next(ctx)
	}
}

func (l *listing) give(ready <-chan page) error {
	for p := range ready {
		for _, o := range p.objects {
			if o.key == l.last {
				continue // some servers start a page with the last key of the page before
			}
			l.last = o.key
			if err := l.one(o); err != nil {
				return err
			}
		}
	}
	return nil
}

func (l *listing) one(o object) error {
	if o.gone {
		return nil
	}
	if o.state.marker(o.key) {
		l.markers++
		return nil
	}
	info, err := l.info(o)
	if err != nil {
		return err
	}
	l.given++
	return l.fn(info)
}

func (l *listing) info(o object) (backends.Info, error) {
	info := o.state.info(place{bucket: l.at.bucket, key: o.key})
	info.Name = strings.TrimPrefix(o.key, l.at.key)
	if info.Name == "" {
		return backends.Info{}, backends.Invalid("list", info.Ref, "it holds data, but its key ends in '/', which no file name can", "name the objects below it one by one")
	}
	return info, nil
}

// once sends one of the first requests, which the wrapper repeats: nothing has
// been given yet.
func (l *listing) once(ctx context.Context, fn func(context.Context) error) error {
	limited, cancel := context.WithTimeout(ctx, l.store.retry.StallTimeout)
	defer cancel()
	err := fn(limited)
	if err != nil && limited.Err() != nil && ctx.Err() == nil {
		return backends.Unreachable("list", l.uri, errSilent)
	}
	return l.failure(ctx, err)
}

// again sends a request within a retry budget of its own, since the wrapper can
// repeat only the whole listing.
func (l *listing) again(ctx context.Context, fn func(context.Context) error) error {
	return backends.Retry(ctx, l.store.retry, "list", l.uri, func(ctx context.Context) error {
		return l.failure(ctx, fn(ctx))
	})
}

// failure sorts errors of a listing. A missing key or bucket is KindNoSource.
func (l *listing) failure(ctx context.Context, err error) error {
	r, refused := replyOf(err)
	switch {
	case !refused || ctx.Err() != nil || !r.missing():
		return failure(ctx, "list", l.uri, err)
	case r.code == "NoSuchBucket":
		return backends.NoSource("list", l.uri, "no such bucket")
	}
	return backends.NoSource("list", l.uri, "no such object or version")
}

// start chooses how to list and fetches the first page: versions if the server
// lists them, which directory buckets don't have. An empty answer is asked again the plain way: a server that knows
// no versions may answer with another document, which reads as empty.
func (l *listing) start(ctx context.Context) (pager, page, error) {
	if !directoryBucket(l.at.bucket) {
		versions := l.versionPages()
		first, err := versions(ctx)
		if err == nil && !first.empty {
			return versions, first, nil
		}
		if err != nil && manifest.KindOf(err) != manifest.KindDenied && !notKnown(err) {
			return nil, page{}, err
		}
	}
	plain := l.plainPages()
	first, err := plain(ctx)
	return plain, first, err
}

// stuck is the error of a listing whose server gives the same page for ever.
func (l *listing) stuck() error {
	return &manifest.Error{Kind: manifest.KindUnreachable, Op: "list", Ref: l.uri, Msg: "the server says that there is more, but not where to go on"}
}

func notKnown(err error) bool {
	var r reply
	return errors.As(err, &r) && r.unknown()
}
