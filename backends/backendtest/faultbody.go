package backendtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"testing"

	"github.com/pinfs/pinfs/backends"
	"github.com/pinfs/pinfs/manifest"
)

// answer is a wrong answer to a read of 1,000 bytes from 1,000 on, or of the whole
// when whole is true.
type answer struct {
	name  string
	fault Fault
	whole bool
}

// answers are those that no driver may take for the object.
func answers() []answer {
	contentRange := func(text string) Fault {
		return Fault{Op: DataOp, Header: http.Header{"Content-Range": {text}}}
	}
	body := func(kind DamageKind, at int64) Fault { return Fault{Op: DataOp, Body: &Damage{kind, at}} }
	return []answer{
		{"range at another offset", contentRange(fmt.Sprintf("bytes 1001-2000/%d", faultSize)), false},
		{"range of a larger object", contentRange(fmt.Sprintf("bytes 1000-1999/%d", faultSize+1)), false},
		{"range of a smaller object", contentRange("bytes 1000-1999/2000"), false},
		{"range that can't be read", contentRange("lines 3"), false},
		{"range without saying which", Fault{Op: DataOp, Header: http.Header{"Content-Range": nil}}, false},
		{"range refused inside the object", Fault{Op: DataOp, Status: http.StatusRequestedRangeNotSatisfiable}, false},
		{"range cut", body(Cut, 500), false},
		{"range cut before its first byte", body(Cut, 0), false},
		{"range shortened", body(Shorten, 500), false},
		{"range lengthened", body(Lengthen, 500), false},
		{"body cut", body(Cut, 70_000), true},
		{"body cut before its last byte", body(Cut, faultSize-1), true},
		{"body shortened", body(Shorten, 70_000), true},
		{"body shortened to nothing", body(Shorten, 0), true},
		{"body lengthened", body(Lengthen, 1), true},
	}
}

func answerCases() []testCase {
	var cases []testCase
	for _, a := range answers() {
		cases = append(cases, faultCase(a.name, func(t *testing.T, e *env) { answered(t, e, a) }))
	}
	return append(cases,
		faultCase("stalled body", stalledBody),
		faultCase("cancelled in a stalled body", cancelledStalled),
		faultCase("closed in a stalled body", closedStalled))
}

// answered wants an error, or the bytes if the driver can tell them from others;
// what it gives before the error are the object's.
func answered(t *testing.T, e *env, a answer) {
	data := noise(faultSize, 80)
	obj := e.putPin(t, "o", data)
	e.fault(t, a.fault)
	offset, length, want := int64(1000), int64(1000), data[1000:2000]
	if a.whole {
		offset, length, want = 0, -1, data
	}
	got, err := readFrom(e.ctx, e.Backend, obj, offset, length)
	if len(got) > len(want) || !bytes.Equal(got, want[:len(got)]) {
		t.Fatalf("got %d bytes that are not the object's, the first at %d", len(got), difference(got, want))
	}
	if err != nil {
		wantKind(t, err, obj.Ref, manifest.KindCorrupt, manifest.KindUnreachable, manifest.KindChanged)
		wantWords(t, err)
		return
	}
	if len(got) != len(want) || a.fault.Body == nil || a.fault.Body.Kind != Lengthen {
		t.Fatalf("got %d of %d bytes and no error", len(got), len(want))
	}
}

// readFrom reads a range and gives what came, with the error of Open or of Read.
func readFrom(ctx context.Context, b backends.Backend, obj manifest.Object, offset, length int64) ([]byte, error) {
	body, _, err := b.Open(ctx, obj, offset, length)
	if err != nil {
		return nil, err
	}
	data, err := io.ReadAll(body)
	return data, errors.Join(err, body.Close())
}

// stalled opens a body that stops coming and reads what came.
func (e *env) stalled(t *testing.T, ctx context.Context, seed byte) (manifest.Object, io.ReadCloser) {
	t.Helper()
	data := noise(faultSize, seed)
	obj := e.putPin(t, "o", data)
	e.fault(t, Fault{Op: DataOp, Body: &Damage{Stall, 5000}})
	body, _, err := e.Backend.Open(ctx, obj, 0, -1)
	if err != nil {
		t.Fatalf("Open: %v", err)
	}
	head := make([]byte, 5000)
	if _, err := io.ReadFull(body, head); err != nil || !bytes.Equal(head, data[:5000]) {
		t.Fatalf("the first bytes: %v, the first difference at %d", err, difference(head, data))
	}
	return obj, body
}

func stalledBody(t *testing.T, e *env) {
	ctx, cancel := context.WithTimeout(e.ctx, 3*patience)
	defer cancel()
	obj, body := e.stalled(t, ctx, 81)
	defer body.Close() //nolint:errcheck // only read
	n, err := body.Read(make([]byte, 1))
	if n != 0 {
		t.Fatalf("got %d bytes of a body that stalls", n)
	}
	wantKind(t, err, obj.Ref, manifest.KindTimeout)
}

func cancelledStalled(t *testing.T, e *env) {
	ctx, cancel := context.WithCancel(e.ctx)
	defer cancel()
	obj, body := e.stalled(t, ctx, 82)
	defer body.Close() //nolint:errcheck // only read
	done := make(chan error, 1)
	go func() {
		_, err := body.Read(make([]byte, 1))
		done <- err
	}()
	cancel()
	wantKind(t, <-done, obj.Ref, manifest.KindCanceled)
}

// closedStalled closes a stream without waiting for what does not come.
func closedStalled(t *testing.T, e *env) {
	_, body := e.stalled(t, e.ctx, 83)
	_ = body.Close() // may say that the body was not at its end
}
