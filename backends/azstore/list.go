package azstore

import (
	"context"
	"net/url"
	"strings"
	"sync/atomic"

	"github.com/pinfs/pinfs/backends"
	"github.com/pinfs/pinfs/manifest"
)

// List finds what uri means: the blob that it names, else all below it.
func (s *Store) List(ctx context.Context, uri string, fn func(backends.Info) error) error {
	p, err := parseURI("list", uri)
	if err != nil {
		return err
	}
	l := &listing{store: s, uri: uri, at: s.recorded(p), fn: fn, versions: true}
	l.calls = backends.ListCalls{URI: uri, Retry: s.retry, Sort: l.failure}
	if p.version != "" || p.blob != "" && !strings.HasSuffix(p.blob, "/") {
		if done, err := l.single(ctx); done || err != nil {
			return err
		}
		l.at.blob += "/"
	}
	return l.prefix(ctx)
}

// listing is one call of List.
type listing struct {
	store *Store
	uri   string
	at    place // its blob is the prefix: "" or with a trailing slash
	fn    func(backends.Info) error
	calls backends.ListCalls

	given   int // blobs that fn got
	folders int // blobs that stand for folders, which it did not

	// Written by the first request, whose end the others wait for:
	begun    bool
	versions bool // pages are asked for with versions

	flat atomic.Bool // levels are not granted
}

// single gives the one blob at l.at; false when there is none.
func (l *listing) single(ctx context.Context) (bool, error) {
	var st state
	err := l.calls.Once(ctx, func(ctx context.Context) (err error) {
		st, err = l.store.head(ctx, l.at)
		return err
	})
	named := l.at.version != "" || l.at.snapshot != ""
	switch {
	case err == nil && !named && st.marker(l.at.blob):
		return false, nil
	case err == nil:
		if l.at.version != "" { // some servers don't repeat it
			st.version = l.at.version
		}
		info := st.info(l.at)
		info.Single = true
		return true, l.fn(info)
	case manifest.KindOf(err) == manifest.KindNoSource && !named:
		return false, nil
	}
	return false, err
}

// prefix gives all blobs below l.at.
func (l *listing) prefix(ctx context.Context) error {
	tree := backends.Tree[object]{URI: l.uri, Page: l.page, Name: func(o object) string { return o.name }}
	if err := tree.List(ctx, l.at.blob, l.one); err != nil {
		return err
	}
	switch {
	case l.given > 0:
		return nil
	case l.folders > 0:
		return backends.NoSource("list", l.uri, "only folders are there, no blob")
	}
	return &manifest.Error{Kind: manifest.KindNoSource, Op: "list", Ref: l.uri, Msg: "no blob is there, nor below it", Hint: coded(l.at)}
}

// coded tells those who copied a URL from somewhere that names are literal.
func coded(p place) string {
	if plain, err := url.PathUnescape(p.blob); err == nil && plain != p.blob {
		return "percent codes are taken as they are: write '" + backends.OneLine(strings.TrimSuffix(plain, "/")) + "' if that is the blob's name"
	}
	return ""
}

// one passes on what a page has.
func (l *listing) one(o object) error {
	if o.state.marker(o.name) {
		l.folders++
		return nil
	}
	at := l.at
	at.blob = o.name
	info := o.state.info(at)
	var err error
	if info.Name, err = backends.NameBelow(l.at.blob, o.name, info.Ref, "name"); err != nil {
		return err
	}
	l.given++
	return l.fn(info)
}

// failure sorts errors of a listing. A missing blob or container is KindNoSource.
func (l *listing) failure(ctx context.Context, err error) error {
	r, refused := replyOf(err)
	switch {
	case !refused || ctx.Err() != nil || !r.missing(l.at):
		return failure(ctx, "list", l.uri, err)
	case r.noContainer() != "":
		return backends.NoSource("list", l.uri, r.noContainer())
	}
	return backends.NoSource("list", l.uri, "no such blob or version")
}
