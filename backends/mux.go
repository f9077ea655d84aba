package backends

import (
	"context"
	"errors"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/pinfs/pinfs/manifest"
)

// Mux sends each call to the driver of its reference's source. A source that no
// driver has is KindUnsupported and lists those that have one.
type Mux struct {
	drivers map[manifest.Source]Backend
}

var (
	_ Backend      = (*Mux)(nil)
	_ ManyDigester = (*Mux)(nil)
)

// NewMux makes a mux of drivers by source. The mux owns them: Close closes each
// once, though it may have several sources.
func NewMux(drivers map[manifest.Source]Backend) *Mux {
	return &Mux{drivers: maps.Clone(drivers)}
}

// Sources gives the known sources, sorted.
func (m *Mux) Sources() []manifest.Source {
	return slices.Sorted(maps.Keys(m.drivers))
}

// Stats tells what the wrappers of a source's driver do; false if they don't tell.
func (m *Mux) Stats(source manifest.Source) (Stats, bool) {
	b, ok := m.drivers[source].(Measured)
	if !ok {
		return Stats{}, false
	}
	return b.Stats(), true
}

// List lists uri, which may be a plain path: see Normalize.
func (m *Mux) List(ctx context.Context, uri string, fn func(Info) error) error {
	uri, err := Normalize(uri)
	if err != nil {
		return err
	}
	b, err := m.driver("list", uri)
	if err != nil {
		return err
	}
	return b.List(ctx, uri, fn)
}

// Stat asks the driver of obj's source.
func (m *Mux) Stat(ctx context.Context, obj manifest.Object) (Info, error) {
	b, err := m.driver("stat", obj.Ref)
	if err != nil {
		return Info{}, err
	}
	return b.Stat(ctx, obj)
}

// Open asks the driver of obj's source.
func (m *Mux) Open(ctx context.Context, obj manifest.Object, offset, length int64) (io.ReadCloser, Info, error) {
	b, err := m.driver("open", obj.Ref)
	if err != nil {
		return nil, Info{}, err
	}
	return b.Open(ctx, obj, offset, length)
}

// Digest asks the driver of info's source; KindUnsupported if it is no Digester.
func (m *Mux) Digest(ctx context.Context, info Info) (Info, error) {
	b, err := m.driver("digest", info.Ref)
	if err != nil {
		return Info{}, err
	}
	return digest(ctx, b, info)
}

// DigestMany gives runs of one source to its driver.
func (m *Mux) DigestMany(ctx context.Context, infos []Info) error {
	for start := 0; start < len(infos); {
		end, source := start+1, manifest.SourceOf(infos[start].Ref)
		for end < len(infos) && manifest.SourceOf(infos[end].Ref) == source {
			end++
		}
		b, err := m.driver("digest", infos[start].Ref)
		if err != nil {
			return err
		}
		if err := DigestMany(ctx, b, infos[start:end]); err != nil {
			return err
		}
		start = end
	}
	return nil
}

// Close closes all drivers and joins their errors.
func (m *Mux) Close() error {
	var errs []error
	closed := map[Backend]bool{}
	for _, source := range m.Sources() {
		b := m.drivers[source]
		if !closed[b] {
			closed[b] = true
			errs = append(errs, b.Close())
		}
	}
	return errors.Join(errs...)
}

func (m *Mux) driver(op, ref string) (Backend, error) {
	source := manifest.SourceOf(ref)
	if b, ok := m.drivers[source]; ok {
		return b, nil
	}
	e := &manifest.Error{Kind: manifest.KindUnsupported, Op: op, Ref: ref}
	switch {
	case source == manifest.SourceBlob:
		e.Msg = "the entry has no reference: a file that W&B itself stores"
	case manifest.Scheme(ref) == "wandb-artifact":
		e.Msg = "a reference to another artifact of W&B, which is only tracked"
	default:
		e.Msg = m.unknown(manifest.Scheme(ref))
	}
	return nil, e
}

// schemes are how the URIs of a source begin.
func schemes(source manifest.Source) []string {
	switch source {
	case manifest.SourceHTTP:
		return []string{"http://", "https://"}
	case manifest.SourceAzure:
		return []string{"azblob://"}
	case manifest.SourceBlob:
		return nil
	}
	return []string{string(source) + "://"}
}

func (m *Mux) unknown(scheme string) string {
	var known []string
	for _, source := range m.Sources() {
		known = append(known, schemes(source)...)
	}
	return `unknown scheme "` + scheme + `://"; known: ` + strings.Join(known, ", ")
}

// digest calls Digest of b if it has one.
func digest(ctx context.Context, b Backend, info Info) (Info, error) {
	d, ok := b.(Digester)
	if !ok {
		return Info{}, &manifest.Error{Kind: manifest.KindUnsupported, Op: "digest", Ref: info.Ref, Msg: "the source gave no digest"}
	}
	return d.Digest(ctx, info)
}

// DigestMany completes infos, which are b's: at once if b is a ManyDigester, else
// one by one. An error ends it.
func DigestMany(ctx context.Context, b Backend, infos []Info) error {
	if many, ok := b.(ManyDigester); ok {
		return many.DigestMany(ctx, infos)
	}
	for i := range infos {
		info, err := digest(ctx, b, infos[i])
		if err != nil {
			return err
		}
		infos[i] = info
	}
	return nil
}
