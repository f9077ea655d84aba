package main

import (
	"context"
	"io"
	"path/filepath"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/pinfs/pinfs/backends"
	"github.com/pinfs/pinfs/backends/blobstore"
	"github.com/pinfs/pinfs/manifest"
	"github.com/pinfs/pinfs/registry"
)

// maxRequests is how many requests of one source may be under way at once.
const maxRequests = 128

// maxOutage is how long a command goes on while a source gives no answer at all.
// Mounts have the patience of backends.RetryPolicy for each read.
const maxOutage = 12 * time.Second

// impatient is the policy of commands that somebody waits for.
func impatient(b *bar) backends.RetryPolicy {
	return backends.RetryPolicy{MaxOutage: maxOutage, OnRetry: b.retrying}
}

// drivers is where every source gets its driver, for what versions point to: by the
// rules. copies tells where the contents are that registries keep. The caller closes
// the result.
func (a *app) drivers(c *cli.Context, retry backends.RetryPolicy, copies *blobstore.Finders) backends.Backend {
	mux := allDrivers(c, retry, copies, a.rules, a.rules)
	if c.Bool(flagOffline) {
		return &offline{mux}
	}
	return a.rules.Guard(mux)
}

// ownDrivers are drivers for the URIs that the user himself has typed.
func (a *app) ownDrivers(c *cli.Context, retry backends.RetryPolicy) backends.Backend {
	mux := allDrivers(c, retry, &blobstore.Finders{}, a.rules.Own(), nil)
	if c.Bool(flagOffline) {
		return &offline{mux}
	}
	return mux
}

// allDrivers are by rules for hosts and for files. The copies that registries keep are
// read without: no version says where they are. Their reader holds nothing that must
// be closed.
func allDrivers(c *cli.Context, retry backends.RetryPolicy, copies *blobstore.Finders, web, files *backends.Rules) *backends.Mux {
	return backends.NewMux(map[manifest.Source]backends.Backend{
		manifest.SourceS3:    s3Source(c, retry, web),
		manifest.SourceGCS:   gsSource(c, retry),
		manifest.SourceHTTP:  httpSource(c, retry, web),
		manifest.SourceFile:  fileSource(c, retry, files),
		manifest.SourceAzure: azSource(c, retry),
		manifest.SourceBlob:  blobstore.New(copies.Find, fileSource(c, retry, nil)),
	})
}

// registryURL is the registry to use, with an absolute path, so that a daemon in
// another directory understands it.
func registryURL(c *cli.Context) (string, error) {
	url := c.String(flagRegistry)
	if url == "" {
		return "file://" + defaultRegistry(), nil
	}
	path, isFile := strings.CutPrefix(url, "file://")
	if !isFile && strings.Contains(url, "://") {
		return "", &manifest.Error{Kind: manifest.KindUnsupported, Op: "open registry", Ref: url,
			Msg: "unknown scheme", Hint: "known: file:///DIR"}
	}
	if isFile && !filepath.IsAbs(path) {
		return "", usage("open registry", url, "the path is not absolute", "write file:///DIR")
	}
	path, err := filepath.Abs(path)
	return "file://" + path, err
}

// openRegistry opens what registryURL gave.
func openRegistry(ctx context.Context, url string) (*registry.Registry, error) {
	store := registry.NewDirStore(strings.TrimPrefix(url, "file://"))
	return registry.Open(ctx, store, registry.Options{By: by()})
}

// registry opens the registry that the flags name.
func (a *app) registry(c *cli.Context) (*registry.Registry, error) {
	url, err := registryURL(c)
	if err != nil {
		return nil, err
	}
	return openRegistry(c.Context, url)
}

// offline stands for all sources under --offline: none is asked.
type offline struct{ *backends.Mux }

var _ backends.Backend = (*offline)(nil)

func (o *offline) List(_ context.Context, uri string, _ func(backends.Info) error) error {
	return noNetwork("list", uri)
}

func (o *offline) Stat(_ context.Context, obj manifest.Object) (backends.Info, error) {
	return backends.Info{}, noNetwork("stat", obj.Ref)
}

func (o *offline) Open(_ context.Context, obj manifest.Object, _, _ int64) (io.ReadCloser, backends.Info, error) {
	return nil, backends.Info{}, noNetwork("read", obj.Ref)
}

func (o *offline) Digest(_ context.Context, info backends.Info) (backends.Info, error) {
	return backends.Info{}, noNetwork("read", info.Ref)
}

func noNetwork(op, ref string) error {
	return &manifest.Error{Kind: manifest.KindUnreachable, Op: op, Ref: ref, Msg: "offline: not cached, and no source is asked",
		Hint: "leave out --" + flagOffline}
}
