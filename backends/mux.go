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

// Mux sends each call to the driver of its URI's scheme. A scheme that no driver
// has is KindUnsupported and lists those that have one.
type Mux struct {
	drivers map[string]Backend
}

var (
	_ Backend  = (*Mux)(nil)
	_ Digester = (*Mux)(nil)
)

// NewMux makes a mux of drivers by scheme, in lower case without "://". The mux
// owns them: Close closes each once, though it may have several schemes.
func NewMux(drivers map[string]Backend) *Mux {
	return &Mux{drivers: maps.Clone(drivers)}
}

// Schemes gives the known schemes, sorted.
func (m *Mux) Schemes() []string {
	return slices.Sorted(maps.Keys(m.drivers))
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

// Stat asks the driver of obj's scheme.
func (m *Mux) Stat(ctx context.Context, obj manifest.Object) (Info, error) {
	b, err := m.driver("stat", obj.Ref)
	if err != nil {
		return Info{}, err
	}
	return b.Stat(ctx, obj)
}

// Open asks the driver of obj's scheme.
func (m *Mux) Open(ctx context.Context, obj manifest.Object, offset, length int64) (io.ReadCloser, Info, error) {
	b, err := m.driver("open", obj.Ref)
	if err != nil {
		return nil, Info{}, err
	}
	return b.Open(ctx, obj, offset, length)
}

// Digest asks the driver of info's scheme; KindUnsupported if it is no Digester.
func (m *Mux) Digest(ctx context.Context, info Info) (Info, error) {
	b, err := m.driver("digest", info.Ref)
	if err != nil {
		return Info{}, err
	}
	return digest(ctx, b, info)
}

// Close closes all drivers and joins their errors.
func (m *Mux) Close() error {
	var errs []error
	closed := map[Backend]bool{}
	for _, scheme := range m.Schemes() {
		b := m.drivers[scheme]
		if !closed[b] {
			closed[b] = true
			errs = append(errs, b.Close())
		}
	}
	return errors.Join(errs...)
}

func (m *Mux) driver(op, ref string) (Backend, error) {
	scheme := manifest.Scheme(ref)
	if b, ok := m.drivers[scheme]; ok && scheme != "" {
		return b, nil
	}
	e := &manifest.Error{Kind: manifest.KindUnsupported, Op: op, Ref: ref, Msg: m.unknown(scheme)}
	if ref == "" {
		e.Msg = "the entry has no reference: a file that W&B itself stores"
	}
	return nil, e
}

func (m *Mux) unknown(scheme string) string {
	known := make([]string, 0, len(m.drivers))
	for _, s := range m.Schemes() {
		known = append(known, s+"://")
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
