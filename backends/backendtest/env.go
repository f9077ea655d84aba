package backendtest

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/pinfs/pinfs/backends"
	"github.com/pinfs/pinfs/manifest"
)

// env is what a case works with.
type env struct {
	Source
	Features Features
	ctx      context.Context
	closed   bool // the case has closed Backend
}

func (e *env) uri(key string) string { return e.Root + "/" + key }

func (e *env) put(t *testing.T, key string, data []byte) {
	t.Helper()
	if err := e.Put(key, data); err != nil {
		t.Fatalf("put %q: %v", key, err)
	}
}

func (e *env) putAll(t *testing.T, keys ...string) {
	t.Helper()
	for _, key := range keys {
		e.put(t, key, []byte("data of "+key))
	}
}

// list gives what is below uri, sorted by name.
func (e *env) list(t *testing.T, uri string) []backends.Info {
	t.Helper()
	infos, err := e.tryList(uri)
	if err != nil {
		t.Fatalf("List(%q): %v", uri, err)
	}
	return infos
}

func (e *env) tryList(uri string) ([]backends.Info, error) {
	var infos []backends.Info
	err := e.Backend.List(e.ctx, uri, func(i backends.Info) error {
		infos = append(infos, i)
		return nil
	})
	slices.SortFunc(infos, func(a, b backends.Info) int { return strings.Compare(a.Name, b.Name) })
	return infos, err
}

// wantNames lists uri and compares the names.
func (e *env) wantNames(t *testing.T, uri string, want ...string) []backends.Info {
	t.Helper()
	infos := e.list(t, uri)
	got := make([]string, 0, len(infos))
	for _, i := range infos {
		got = append(got, i.Name)
	}
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Fatalf("List(%q): got names %q, want %q", uri, got, want)
	}
	return infos
}

// pin records key as put does: listed by its own URI, digested if need be.
func (e *env) pin(t *testing.T, key string) (backends.Info, manifest.Object) {
	t.Helper()
	infos := e.wantNames(t, e.uri(key), key[strings.LastIndex(key, "/")+1:])
	info := e.digested(t, infos[0])
	obj := info.Entry("x").Object()
	if obj.Pin.Kind == manifest.PinNone {
		t.Fatalf("%s: no pin in digest %q, extra %v", info.Ref, info.Digest, info.Extra)
	}
	return info, obj
}

func (e *env) digested(t *testing.T, info backends.Info) backends.Info {
	t.Helper()
	if info.Digest != "" {
		return info
	}
	d, ok := e.Backend.(backends.Digester)
	if !ok {
		t.Fatalf("%s: List gave no digest and the backend is no Digester", info.Ref)
	}
	full, err := d.Digest(e.ctx, info)
	if err != nil {
		t.Fatalf("Digest(%s): %v", info.Ref, err)
	}
	return full
}

// putPin puts data and records it.
func (e *env) putPin(t *testing.T, key string, data []byte) manifest.Object {
	t.Helper()
	e.put(t, key, data)
	_, obj := e.pin(t, key)
	return obj
}

// read reads a range whole; the error is that of Open or of Read.
func (e *env) read(ctx context.Context, obj manifest.Object, offset, length int64) ([]byte, error) {
	body, info, err := e.Backend.Open(ctx, obj, offset, length)
	if err != nil {
		return nil, err
	}
	data, err := io.ReadAll(body)
	if err == nil && info.Size != obj.Size {
		err = errors.New("the Size of Open's Info is not that of the whole object")
	}
	return data, errors.Join(err, body.Close())
}

// wantBytes reads a range and compares it.
func (e *env) wantBytes(t *testing.T, obj manifest.Object, offset, length int64, want []byte) {
	t.Helper()
	got, err := e.read(e.ctx, obj, offset, length)
	if err != nil {
		t.Fatalf("Open(%s, %d, %d): %v", obj.Ref, offset, length, err)
	}
	if !bytes.Equal(got, want) {
		t.Fatalf("Open(%s, %d, %d): got %d bytes, want %d, the first difference at %d",
			obj.Ref, offset, length, len(got), len(want), difference(got, want))
	}
}

// wantKind wants a typed error of one of kinds that names ref.
func wantKind(t *testing.T, err error, ref string, kinds ...manifest.Kind) *manifest.Error {
	t.Helper()
	var typed *manifest.Error
	if !errors.As(err, &typed) {
		t.Fatalf("got error %v (%T), want a *manifest.Error of kind %v", err, err, kinds)
	}
	if !slices.Contains(kinds, manifest.KindOf(err)) {
		t.Fatalf("got %v, kind %q, want %q", err, manifest.KindOf(err), kinds)
	}
	if !strings.Contains(err.Error(), ref) {
		t.Fatalf("got %q, want the reference %q in it", err, ref)
	}
	return typed
}

// wantBoth wants expected and found in an error.
func wantBoth(t *testing.T, err *manifest.Error) {
	t.Helper()
	if err.Expected == "" || err.Found == "" || err.Expected == err.Found {
		t.Fatalf("got expected %q and found %q in %q, want both, and different", err.Expected, err.Found, err)
	}
}

func difference(a, b []byte) int {
	for i := range min(len(a), len(b)) {
		if a[i] != b[i] {
			return i
		}
	}
	return min(len(a), len(b))
}

// noise gives n bytes that are the same for the same seed and do not repeat.
func noise(n int, seed byte) []byte {
	data := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{seed}).Read(data)
	return data
}
