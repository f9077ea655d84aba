package s3store

import (
	"context"
	"errors"
	"strings"

	"golang.org/x/sync/semaphore"

	"github.com/pinfs/pinfs/backends"
	"github.com/pinfs/pinfs/manifest"
)

// List finds what uri means: the object that it names, else all below it.
func (s *Store) List(ctx context.Context, uri string, fn func(backends.Info) error) error {
	p, err := parseURI("list", uri)
	if err != nil {
		return err
	}
	l := &listing{store: s, uri: uri, at: p, fn: fn, heads: semaphore.NewWeighted(heads)}
	l.calls = backends.ListCalls{URI: uri, Retry: s.retry, Sort: l.failure}
	if p.version != "" || p.key != "" && !strings.HasSuffix(p.key, "/") {
		if done, err := l.single(ctx); done || err != nil {
			return err
		}
		l.at.key += "/"
	}
	return l.prefix(ctx)
}

// listing is one call of List. Its requests are sent by several goroutines; fn and
// what it counts belong to one.
type listing struct {
	store *Store
	uri   string
	at    place // its key is the prefix: "" or with a trailing slash
	fn    func(backends.Info) error
	calls backends.ListCalls

	given   int // objects that fn got
	markers int // folder markers that it did not

	ask    asker               // nil until the first page has come
	heads  *semaphore.Weighted // HEADs under way
	probed bool                // versioned was found out
	// versioned: the plain listing leaves out version ids that are there.
	versioned bool
}

// single gives the one object at l.at; false when there is none.
func (l *listing) single(ctx context.Context) (bool, error) {
	var st state
	err := l.calls.Once(ctx, func(ctx context.Context) (err error) {
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
	tree := backends.Tree[object]{URI: l.uri, Page: l.page, Name: func(o object) string { return o.key }}
	if err := tree.List(ctx, l.at.key, l.one); err != nil {
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

// one gives an object of the listing, or counts it.
func (l *listing) one(o object) error {
	if o.gone {
		return nil
	}
	if o.state.marker(o.key) {
		l.markers++
		return nil
	}
	info := o.state.info(place{bucket: l.at.bucket, key: o.key})
	var err error
	if info.Name, err = backends.NameBelow(l.at.key, o.key, info.Ref, "key"); err != nil {
		return err
	}
	l.given++
	return l.fn(info)
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

func notKnown(err error) bool {
	var r reply
	return errors.As(err, &r) && r.unknown()
}
