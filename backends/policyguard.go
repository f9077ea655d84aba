package backends

import (
	"context"
	"io"

	"github.com/pinfs/pinfs/manifest"
)

// Guarded is a Mux for what versions point to: what the rules refuse reaches no driver.
type Guarded struct {
	*Mux
	rules *Rules
}

var (
	_ Backend      = (*Guarded)(nil)
	_ ManyDigester = (*Guarded)(nil)
)

// Guard puts r in front of m, which it owns from then on.
func (r *Rules) Guard(m *Mux) *Guarded { return &Guarded{m, r} }

// List implements Backend.
func (g *Guarded) List(ctx context.Context, uri string, fn func(Info) error) error {
	uri, err := Normalize(uri)
	if err == nil {
		err = g.rules.Ref("list", uri)
	}
	if err != nil {
		return err
	}
	return g.Mux.List(ctx, uri, fn)
}

// Stat implements Backend.
func (g *Guarded) Stat(ctx context.Context, obj manifest.Object) (Info, error) {
	if err := g.rules.Ref("stat", obj.Ref); err != nil {
		return Info{}, err
	}
	return g.Mux.Stat(ctx, obj)
}

// Open implements Backend.
func (g *Guarded) Open(ctx context.Context, obj manifest.Object, offset, length int64) (io.ReadCloser, Info, error) {
	if err := g.rules.Ref("open", obj.Ref); err != nil {
		return nil, Info{}, err
	}
	return g.Mux.Open(ctx, obj, offset, length)
}

// Digest implements Digester.
func (g *Guarded) Digest(ctx context.Context, info Info) (Info, error) {
	if err := g.rules.Ref("digest", info.Ref); err != nil {
		return Info{}, err
	}
	return g.Mux.Digest(ctx, info)
}

// DigestMany implements ManyDigester.
func (g *Guarded) DigestMany(ctx context.Context, infos []Info) error {
	for _, info := range infos {
		if err := g.rules.Ref("digest", info.Ref); err != nil {
			return err
		}
	}
	return g.Mux.DigestMany(ctx, infos)
}
