package backendtest

import (
	"bytes"
	"fmt"
	"io"
	"testing"

	"golang.org/x/sync/errgroup"

	"github.com/pinfs/pinfs/manifest"
)

func readCases() []testCase {
	return []testCase{
		{name: "read whole", run: readWhole},
		{name: "read ranges", run: readRanges},
		{name: "read across the end", run: readAcross},
		{name: "read past the end", run: readPast},
		{name: "read nothing", run: readNothing},
		{name: "read an empty object", run: readEmpty},
		{name: "read by single bytes", run: readSingles},
		{name: "read 16 at once", run: readConcurrent},
		{name: "read part of a stream", run: readPart},
		{name: "read what never was", run: readNever},
		{name: "read without a pin", run: readUnpinned},
		{name: "read with an unknown size", run: readUnknownSize},
		{name: "read with a wrong size recorded", run: readWrongSize},
		{name: "read two streams in turn", run: readInTurn},
		{name: "read 8 MiB by blocks from the end", run: readBackwards},
	}
}

func readWhole(t *testing.T, e *env) {
	for _, n := range []int{1, 4096, 1<<20 + 17} {
		data := noise(n, 1)
		obj := e.putPin(t, fmt.Sprintf("n%d", n), data)
		e.wantBytes(t, obj, 0, -1, data)
		e.wantBytes(t, obj, 0, int64(n), data)
	}
}

func readRanges(t *testing.T, e *env) {
	data := noise(100_000, 2)
	obj := e.putPin(t, "o", data)
	for _, r := range [][2]int64{{0, 1}, {0, 4096}, {1, 1}, {4095, 2}, {65_536, 10_000}, {99_999, 1}, {50_000, 50_000}} {
		e.wantBytes(t, obj, r[0], r[1], data[r[0]:r[0]+r[1]])
	}
	e.wantBytes(t, obj, 1, -1, data[1:])
	e.wantBytes(t, obj, 99_999, -1, data[99_999:])
}

func readAcross(t *testing.T, e *env) {
	data := noise(1000, 3)
	obj := e.putPin(t, "o", data)
	e.wantBytes(t, obj, 0, 1001, data)
	e.wantBytes(t, obj, 990, 100, data[990:])
	e.wantBytes(t, obj, 999, 1<<40, data[999:])
	e.wantBytes(t, obj, 999, 1<<63-1, data[999:]) // offset + length overflows
}

func readPast(t *testing.T, e *env) {
	obj := e.putPin(t, "o", noise(1000, 4))
	for _, offset := range []int64{1000, 1001, 1 << 40, 1<<63 - 1} {
		e.wantBytes(t, obj, offset, 10, nil)
		e.wantBytes(t, obj, offset, -1, nil)
	}
}

func readNothing(t *testing.T, e *env) {
	obj := e.putPin(t, "o", noise(1000, 5))
	for _, offset := range []int64{0, 500, 1000, 2000} {
		e.wantBytes(t, obj, offset, 0, nil)
	}
}

func readEmpty(t *testing.T, e *env) {
	obj := e.putPin(t, "empty", nil)
	if obj.Size != 0 {
		t.Errorf("got size %d, want 0", obj.Size)
	}
	for _, length := range []int64{-1, 0, 1, 4096} {
		e.wantBytes(t, obj, 0, length, nil)
		e.wantBytes(t, obj, 5, length, nil)
	}
}

func readSingles(t *testing.T, e *env) {
	data := noise(300, 6)
	obj := e.putPin(t, "o", data)
	body, _, err := e.Backend.Open(e.ctx, obj, 100, 100)
	if err != nil {
		t.Fatalf("Open: %v", err)
	}
	defer body.Close() //nolint:errcheck // read to the end below
	one := make([]byte, 1)
	for i := range 100 {
		if n, err := io.ReadFull(body, one); n != 1 || one[0] != data[100+i] {
			t.Fatalf("byte %d: got %x, error %v, want %x", i, one, err, data[100+i])
		}
	}
	for range 2 {
		if n, err := body.Read(one); n != 0 || err != io.EOF { //nolint:errorlint // io.Reader's own rule
			t.Fatalf("after the end: got %d bytes, error %v, want EOF", n, err)
		}
	}
}

func readConcurrent(t *testing.T, e *env) {
	data := noise(1<<20, 7)
	obj := e.putPin(t, "o", data)
	g := errgroup.Group{}
	for i := range int64(16) {
		g.Go(func() error {
			from := i * 65_000
			got, err := e.read(e.ctx, obj, from, 65_000)
			if err == nil && string(got) != string(data[from:from+65_000]) {
				err = fmt.Errorf("range %d: wrong bytes", i)
			}
			return err
		})
	}
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}
}

// readPart closes streams in the middle, more often than there may be idle
// connections, and reads on.
func readPart(t *testing.T, e *env) {
	data := noise(2<<20, 8)
	obj := e.putPin(t, "o", data)
	for range 40 {
		body, _, err := e.Backend.Open(e.ctx, obj, 0, -1)
		if err != nil {
			t.Fatalf("Open: %v", err)
		}
		if _, err := io.ReadFull(body, make([]byte, 1000)); err != nil {
			t.Fatalf("Read: %v", err)
		}
		if err := body.Close(); err != nil {
			t.Fatalf("Close: %v", err)
		}
	}
	e.wantBytes(t, obj, 0, -1, data)
}

func readNever(t *testing.T, e *env) {
	obj := e.putPin(t, "o", []byte("x"))
	obj.Ref = e.uri("never")
	_, err := e.read(e.ctx, obj, 0, -1)
	wantKind(t, err, obj.Ref, manifest.KindGone)
	_, err = e.Backend.Stat(e.ctx, obj)
	wantKind(t, err, obj.Ref, manifest.KindGone)
}

func readUnpinned(t *testing.T, e *env) {
	obj := e.putPin(t, "o", []byte("x"))
	obj.Pin, obj.Digest = manifest.Pin{}, obj.Ref
	_, err := e.read(e.ctx, obj, 0, -1)
	wantKind(t, err, obj.Ref, manifest.KindUnsupported)
	_, err = e.Backend.Stat(e.ctx, obj)
	wantKind(t, err, obj.Ref, manifest.KindUnsupported)
}

func readUnknownSize(t *testing.T, e *env) {
	data := noise(5000, 104)
	obj := e.putPin(t, "o", data)
	obj.Size = manifest.SizeUnknown
	for _, r := range [][2]int64{{0, 5000}, {100, 200}, {4000, 5000}, {6000, 6000}} {
		got, err := readFrom(e.ctx, e.Backend, obj, r[0], r[1]-r[0])
		if want := data[min(r[0], 5000):min(r[1], 5000)]; err != nil || !bytes.Equal(got, want) {
			t.Errorf("%d to %d: got %d bytes, %v, want %d", r[0], r[1], len(got), err, len(want))
		}
	}
	got, err := readFrom(e.ctx, e.Backend, obj, 0, -1)
	if err != nil || !bytes.Equal(got, data) {
		t.Errorf("got %d bytes, %v, want %d", len(got), err, len(data))
	}
}

// readWrongSize has a manifest that is wrong. Where the content is the pin, Stat
// looks at nothing else.
func readWrongSize(t *testing.T, e *env) {
	obj := e.putPin(t, "o", noise(5000, 105))
	for _, size := range []int64{4999, 5001, 1 << 40} {
		obj.Size = size
		_, err := readFrom(e.ctx, e.Backend, obj, 0, -1)
		wantBoth(t, wantKind(t, err, obj.Ref, manifest.KindCorrupt, manifest.KindChanged))
		if _, err = e.Backend.Stat(e.ctx, obj); !e.Features.ContentPinned {
			wantBoth(t, wantKind(t, err, obj.Ref, manifest.KindCorrupt, manifest.KindChanged))
		}
	}
}

// readInTurn reads two objects at once by small steps.
func readInTurn(t *testing.T, e *env) {
	var want [2][]byte
	var bodies [2]io.ReadCloser
	for i := range bodies {
		want[i] = noise(100_000, 107+byte(i))
		obj := e.putPin(t, fmt.Sprintf("o%d", i), want[i])
		body, _, err := e.Backend.Open(e.ctx, obj, 0, -1)
		if err != nil {
			t.Fatalf("Open: %v", err)
		}
		defer body.Close() //nolint:errcheck // only read
		bodies[i] = body
	}
	step := make([]byte, 1000)
	for at := 0; at < 100_000; at += len(step) {
		for i, body := range bodies {
			if _, err := io.ReadFull(body, step); err != nil || !bytes.Equal(step, want[i][at:at+len(step)]) {
				t.Fatalf("stream %d at %d: %v, the first difference at %d", i, at, err, difference(step, want[i][at:]))
			}
		}
	}
}

func readBackwards(t *testing.T, e *env) {
	data := noise(8<<20, 109)
	obj := e.putPin(t, "o", data)
	const block = 1 << 20
	for at := int64(len(data)) - block; at >= 0; at -= block {
		e.wantBytes(t, obj, at, block, data[at:at+block])
	}
}
