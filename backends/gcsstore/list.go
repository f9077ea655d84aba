package gcsstore

import (
	"context"
	"net/http"
	"strings"
	"sync/atomic"

	gcs "google.golang.org/api/storage/v1"

	"github.com/pinfs/pinfs/backends"
	"github.com/pinfs/pinfs/manifest"
)

// List finds what uri means: the generation that it names, else the object, else
// all below it. When there is no such generation, '#' and the number are taken as
// the end of a key or of a folder's name.
func (s *Store) List(ctx context.Context, uri string, fn func(backends.Info) error) error {
	p, err := parseURI("list", uri)
	if err != nil {
		return err
	}
	l := &listing{store: s, uri: uri, at: p, fn: fn}
	if p.generation != 0 {
		if done, err := l.single(ctx); done || err != nil {
			return err
		}
		if l.at, err = parseRef("list", uri); err != nil {
			return err
		}
	}
	if l.at.key != "" && !strings.HasSuffix(l.at.key, "/") {
		if done, err := l.single(ctx); done || err != nil {
			return err
		}
		l.at.key += "/"
	}
	return l.prefix(ctx)
}

// listing is one call of List. One goroutine, but for page.
type listing struct {
	store *Store
	uri   string
	at    place // its key is the prefix: "" or with a trailing slash
	fn    func(backends.Info) error

	begun atomic.Bool // a page has come

	given   int // objects that fn got
	markers int // folder markers that it did not
}

// single gives the one object at l.at; false when there is none.
func (l *listing) single(ctx context.Context) (bool, error) {
	st, err := l.store.get(ctx, l.at)
	err = l.failure(ctx, err)
	switch {
	case err == nil && l.at.generation == 0 && st.marker(l.at.key):
		return false, nil
	case err == nil:
		info := st.info(l.at)
		info.Single = true
		return true, l.fn(info)
	case manifest.KindOf(err) == manifest.KindNoSource:
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
	return backends.NoSource("list", l.uri, "no object or generation is there, nor an object below it")
}

// pages gives all objects below l.at, by folders where there are many.
func (l *listing) pages(ctx context.Context) error {
	tree := backends.Tree[*gcs.Object]{URI: l.uri, Page: l.page, Name: func(o *gcs.Object) string { return o.Name }}
	return tree.List(ctx, l.at.key, l.one)
}

func (l *listing) one(o *gcs.Object) error {
	st := listedState(o)
	if st.marker(o.Name) {
		l.markers++
		return nil
	}
	info := st.info(place{bucket: l.at.bucket, key: o.Name})
	var err error
	if info.Name, err = backends.NameBelow(l.at.key, o.Name, info.Ref, "key"); err != nil {
		return err
	}
	l.given++
	return l.fn(info)
}

// failure sorts errors of a listing. A missing object or bucket is KindNoSource.
func (l *listing) failure(ctx context.Context, err error) error {
	r, refused := replyOf(err)
	switch {
	case !refused || ctx.Err() != nil || r.status != http.StatusNotFound:
		return failure(ctx, "list", l.uri, err)
	case strings.Contains(r.text, "bucket does not exist"):
		return backends.NoSource("list", l.uri, "no such bucket")
	}
	return backends.NoSource("list", l.uri, "no such object")
}
