package backendtest

import (
	"bytes"
	"io"
	"testing"

	"golang.org/x/sync/errgroup"

	"github.com/pinfs/pinfs/manifest"
)

func pinCases() []testCase {
	return []testCase{
		{name: "stat at the pin", run: statPin},
		{name: "stat an empty object", run: statEmpty},
		{name: "stat 16 at once", run: statConcurrent},
		{name: "errors of pins are one line", run: pinWords},
		{name: "overwritten", run: overwritten},
		{name: "overwritten with the same size", run: overwrittenSameSize},
		{name: "overwritten ten times", run: overwrittenOften},
		{name: "overwritten between two ranges", run: overwrittenBetween},
		{name: "overwritten under a stream", run: overwrittenUnder},
		{name: "overwritten by an empty object", run: overwrittenEmpty},
		{name: "put back as it was", run: putBack},
		{name: "deleted", run: deleted},
		{name: "version deleted", run: versionDeleted},
		{name: "deleted and put again", run: deletedPutAgain},
	}
}

func statPin(t *testing.T, e *env) {
	data := noise(5000, 10)
	obj := e.putPin(t, "o", data)
	info, err := e.Backend.Stat(e.ctx, obj)
	if err != nil {
		t.Fatalf("Stat: %v", err)
	}
	if got := info.Entry("x").Object(); got != obj {
		t.Errorf("got %+v, want %+v", got, obj)
	}
}

// wantOld wants the old bytes of a versioned source, KindChanged of others: at
// Stat always, at Open if it can be seen there.
func (e *env) wantOld(t *testing.T, obj manifest.Object, old []byte, sizeChanged bool) {
	t.Helper()
	if e.Features.Versioned {
		e.wantBytes(t, obj, 0, -1, old)
		if _, err := e.Backend.Stat(e.ctx, obj); err != nil {
			t.Errorf("Stat: %v", err)
		}
		return
	}
	_, err := e.Backend.Stat(e.ctx, obj)
	wantBoth(t, wantKind(t, err, obj.Ref, manifest.KindChanged))
	if sizeChanged || !e.Features.ContentPinned {
		_, err = e.read(e.ctx, obj, 0, -1)
		wantBoth(t, wantKind(t, err, obj.Ref, manifest.KindChanged))
	}
}

func overwritten(t *testing.T, e *env) {
	old := noise(3000, 11)
	obj := e.putPin(t, "o", old)
	e.put(t, "o", noise(4000, 12))
	e.wantOld(t, obj, old, true)
}

func overwrittenSameSize(t *testing.T, e *env) {
	old := noise(3000, 13)
	obj := e.putPin(t, "o", old)
	e.put(t, "o", noise(3000, 14))
	e.wantOld(t, obj, old, false)
}

func overwrittenOften(t *testing.T, e *env) {
	old := noise(3000, 15)
	obj := e.putPin(t, "o", old)
	for i := range byte(10) {
		e.put(t, "o", noise(1000, 16+i))
	}
	e.wantOld(t, obj, old, true)
	now := e.putPin(t, "o", noise(10, 30))
	e.wantBytes(t, now, 0, -1, noise(10, 30))
}

func overwrittenBetween(t *testing.T, e *env) {
	old := noise(3000, 31)
	obj := e.putPin(t, "o", old)
	e.wantBytes(t, obj, 0, 1000, old[:1000])
	e.put(t, "o", noise(2000, 32))
	if e.Features.Versioned {
		e.wantBytes(t, obj, 1000, 1000, old[1000:2000])
		return
	}
	_, err := e.read(e.ctx, obj, 1000, 1000)
	wantBoth(t, wantKind(t, err, obj.Ref, manifest.KindChanged))
}

// overwrittenUnder overwrites an object whose stream is open: the rest is old,
// or an error, never a mix.
func overwrittenUnder(t *testing.T, e *env) {
	old, young := noise(8<<20, 33), noise(8<<20, 34)
	obj := e.putPin(t, "o", old)
	body, _, err := e.Backend.Open(e.ctx, obj, 0, -1)
	if err != nil {
		t.Fatalf("Open: %v", err)
	}
	defer body.Close() //nolint:errcheck // only read
	head := make([]byte, 1<<20)
	if _, err := io.ReadFull(body, head); err != nil {
		t.Fatalf("Read: %v", err)
	}
	e.put(t, "o", young)
	rest, err := io.ReadAll(body)
	got := append(head, rest...)
	if !bytes.Equal(got, old[:len(got)]) {
		t.Fatalf("got a mix: %d bytes, foreign from %d on", len(got), difference(got, old))
	}
	switch {
	case err != nil:
		wantKind(t, err, obj.Ref, manifest.KindChanged, manifest.KindGone, manifest.KindUnreachable)
	case len(got) != len(old):
		t.Fatalf("got %d bytes and no error, want %d", len(got), len(old))
	}
}

func overwrittenEmpty(t *testing.T, e *env) {
	old := noise(3000, 35)
	obj := e.putPin(t, "o", old)
	e.put(t, "o", nil)
	e.wantOld(t, obj, old, true)
}

// putBack overwrites an object and puts the first bytes back: they are the
// pinned ones, by an older version, the same ETag or the content itself.
func putBack(t *testing.T, e *env) {
	old := noise(3000, 36)
	obj := e.putPin(t, "o", old)
	e.put(t, "o", noise(100, 37))
	e.put(t, "o", old)
	e.wantBytes(t, obj, 0, -1, old)
	if _, err := e.Backend.Stat(e.ctx, obj); err != nil {
		t.Errorf("Stat: %v", err)
	}
}

func deleted(t *testing.T, e *env) {
	old := noise(3000, 38)
	obj := e.putPin(t, "o", old)
	if err := e.Delete("o"); err != nil {
		t.Fatalf("delete: %v", err)
	}
	if e.Features.Versioned {
		e.wantOld(t, obj, old, true)
		return
	}
	e.wantGone(t, obj)
}

func (e *env) wantGone(t *testing.T, obj manifest.Object) {
	t.Helper()
	_, err := e.read(e.ctx, obj, 0, -1)
	typed := wantKind(t, err, obj.Ref, manifest.KindGone)
	if typed.Expected == "" {
		t.Errorf("got %q, want the pin in Expected", typed)
	}
	_, err = e.Backend.Stat(e.ctx, obj)
	wantKind(t, err, obj.Ref, manifest.KindGone)
}

func versionDeleted(t *testing.T, e *env) {
	obj := e.putPin(t, "o", noise(3000, 39))
	young := noise(2000, 40)
	now := e.putPin(t, "o", young)
	if err := e.DeleteVersion(obj); err != nil {
		t.Fatalf("delete version: %v", err)
	}
	e.wantGone(t, obj)
	e.wantBytes(t, now, 0, -1, young)
}

func deletedPutAgain(t *testing.T, e *env) {
	old := noise(3000, 41)
	obj := e.putPin(t, "o", old)
	if err := e.Delete("o"); err != nil {
		t.Fatalf("delete: %v", err)
	}
	e.put(t, "o", noise(2000, 42))
	e.wantOld(t, obj, old, true)
}

func statEmpty(t *testing.T, e *env) {
	obj := e.putPin(t, "empty", nil)
	info, err := e.Backend.Stat(e.ctx, obj)
	if err != nil || info.Size != 0 {
		t.Errorf("got size %d, %v, want 0", info.Size, err)
	}
}

func statConcurrent(t *testing.T, e *env) {
	obj := e.putPin(t, "o", noise(5000, 43))
	g := errgroup.Group{}
	for range 16 {
		g.Go(func() error {
			info, err := e.Backend.Stat(e.ctx, obj)
			if err == nil && info.Entry("x").Object() != obj {
				t.Errorf("got %+v, want %+v", info, obj)
			}
			return err
		})
	}
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}
}

// pinWords makes errors without any fault: they too are one line, and say what was
// done.
func pinWords(t *testing.T, e *env) {
	obj := e.putPin(t, "d/o", noise(100, 44))
	if err := e.Delete("d/o"); err != nil {
		t.Fatalf("delete: %v", err)
	}
	never := obj
	never.Ref = e.uri("d/never")
	unpinned := obj
	unpinned.Pin = manifest.Pin{}
	for _, o := range []manifest.Object{never, unpinned} {
		_, err := e.Backend.Stat(e.ctx, o)
		wantWords(t, err)
		_, err = readFrom(e.ctx, e.Backend, o, 0, -1)
		wantWords(t, err)
	}
	for _, uri := range []string{e.Missing, e.uri("nothing/here")} {
		_, err := e.tryList(uri)
		wantWords(t, err)
	}
}
