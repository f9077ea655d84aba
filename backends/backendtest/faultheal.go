package backendtest

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/pinfs/pinfs/backends"
	"github.com/pinfs/pinfs/manifest"
)

// attempts is how often a request is tried.
const attempts = 6

const (
	// patience is how long an answer to one small request may take in these cases,
	// and pagePatience a page, before it is asked for again. A real server on a busy
	// machine takes longer than one thinks.
	patience     = time.Second
	pagePatience = 5 * time.Second
)

// Retry is the policy for drivers that repeat requests of their own, such as
// pages: quick, but for silences.
func Retry() backends.RetryPolicy {
	p := quick()
	p.StallTimeout, p.ListTimeout = pagePatience, 10*pagePatience
	return p
}

// quick is the policy of the cases about faults.
func quick() backends.RetryPolicy {
	return backends.RetryPolicy{
		MaxAttempts: attempts, FirstWait: time.Millisecond, MaxWait: 10 * time.Millisecond,
		StallTimeout: patience, ListTimeout: 2 * patience, MaxElapsed: time.Minute, MinRate: 1024, MaxRetryAfter: time.Second,
	}
}

func healCases() []testCase {
	var cases []testCase
	for _, c := range calls() {
		for _, tr := range troubles()[2:] { // those that pass
			cases = append(cases, faultCase(tr.name+" "+c.name+" heals", func(t *testing.T, e *env) { heals(t, e, c, tr.fault) }))
		}
		cases = append(cases,
			faultCase("silent "+c.name+" heals", func(t *testing.T, e *env) { heals(t, e, c, Fault{Silent: true, Times: 1}) }),
			faultCase("denied "+c.name+" is not repeated", func(t *testing.T, e *env) { notRepeated(t, e, c) }),
			faultCase("broken "+c.name+" for ever", func(t *testing.T, e *env) { forEver(t, e, c) }))
	}
	return append(cases,
		faultCase("body cut heals", func(t *testing.T, e *env) { resumes(t, e, 90, 1, Damage{Cut, 70_000}) }),
		faultCase("body cut thrice heals", func(t *testing.T, e *env) { resumes(t, e, 91, 3, Damage{Cut, 70_000}) }),
		faultCase("body cut before its last byte heals", func(t *testing.T, e *env) { resumes(t, e, 92, 1, Damage{Cut, faultSize - 1}) }),
		faultCase("body cut before its first byte heals", func(t *testing.T, e *env) { resumes(t, e, 93, 2, Damage{Cut, 0}) }),
		faultCase("stalled body heals", func(t *testing.T, e *env) { resumes(t, e, 94, 1, Damage{Stall, 70_000}) }),
		faultCase("body cut for ever", cutForEver),
		faultCase("slow answers", slowAnswers),
		faultCase("pause is kept", pauseKept),
		faultCase("long pause is capped", pauseCapped),
		faultCase("cancelled in a pause", cancelledPause),
		faultCase("many readers in trouble", manyReaders),
		faultCase("overwritten while the body was cut", overwrittenCut),
		faultCase("deleted while the body was cut", deletedCut))
}

func (e *env) retrying() backends.Backend { return backends.WithRetry(e.Backend, quick()) }

func heals(t *testing.T, e *env, c call, f Fault) {
	obj := e.putPin(t, "d/o", noise(2000, 84))
	if f.Times == 0 {
		f.Times = attempts - 2
	}
	e.fault(t, f)
	if err := c.make(e, e.ctx, e.retrying(), obj); err != nil {
		t.Fatal(err)
	}
}

func notRepeated(t *testing.T, e *env, c call) {
	obj := e.putPin(t, "d/o", noise(2000, 85))
	e.fault(t, Fault{Status: http.StatusForbidden})
	count := func(b backends.Backend) int {
		before := e.Faults.Seen(AnyOp)
		wantKind(t, c.make(e, e.ctx, b, obj), obj.Ref, manifest.KindDenied)
		return e.Faults.Seen(AnyOp) - before
	}
	bare, retried := count(e.Backend), count(e.retrying())
	if bare != retried || bare == 0 {
		t.Errorf("got %d requests, and %d with retries, want the same", bare, retried)
	}
}

// forEver wants an error of the last failure that says how often it was tried.
func forEver(t *testing.T, e *env, c call) {
	obj := e.putPin(t, "d/o", noise(2000, 86))
	e.fault(t, Fault{Status: http.StatusInternalServerError})
	before := e.Faults.Seen(AnyOp)
	err := c.make(e, e.ctx, e.retrying(), obj)
	wantKind(t, err, obj.Ref, manifest.KindUnreachable)
	wantWords(t, err)
	if n := e.Faults.Seen(AnyOp) - before; n < attempts || n > 4*attempts {
		t.Errorf("got %d requests, want %d attempts", n, attempts)
	}
}

// resumes reads an object whose first bodies are damaged.
func resumes(t *testing.T, e *env, seed byte, times int, d Damage) {
	data := noise(faultSize, seed)
	obj := e.putPin(t, "o", data)
	e.fault(t, Fault{Op: DataOp, Times: times, Body: &d})
	before := e.Faults.Seen(DataOp)
	got, err := readFrom(e.ctx, e.retrying(), obj, 0, -1)
	if err != nil || !bytes.Equal(got, data) {
		t.Fatalf("got %d bytes, %v, want %d; the first difference at %d", len(got), err, len(data), difference(got, data))
	}
	if n := e.Faults.Seen(DataOp) - before; n < times+1 || n > attempts {
		t.Errorf("got %d requests for data, want %d", n, times+1)
	}
}

func cutForEver(t *testing.T, e *env) {
	data := noise(faultSize, 95)
	obj := e.putPin(t, "o", data)
	e.fault(t, Fault{Op: DataOp, Body: &Damage{Cut, 1000}})
	got, err := readFrom(e.ctx, e.retrying(), obj, 0, -1)
	wantKind(t, err, obj.Ref, manifest.KindUnreachable)
	if len(got) > attempts*1000 || !bytes.Equal(got, data[:len(got)]) {
		t.Errorf("got %d bytes, the first difference at %d", len(got), difference(got, data))
	}
}

func slowAnswers(t *testing.T, e *env) {
	data := noise(2000, 96)
	obj := e.putPin(t, "d/o", data)
	e.fault(t, Fault{Delay: 50 * time.Millisecond})
	for _, c := range calls() {
		if err := c.make(e, e.ctx, e.Backend, obj); err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

func pauseKept(t *testing.T, e *env) {
	obj := e.putPin(t, "d/o", noise(2000, 97))
	e.fault(t, Fault{Status: http.StatusTooManyRequests, Times: 1, Header: http.Header{"Retry-After": {"1"}}})
	start := time.Now()
	if _, err := readFrom(e.ctx, e.retrying(), obj, 0, -1); err != nil {
		t.Fatal(err)
	}
	if d := time.Since(start); d < time.Second {
		t.Errorf("tried again after %v, asked to wait 1s", d)
	}
}

// pauseCapped is done before the case's time is over.
func pauseCapped(t *testing.T, e *env) {
	obj := e.putPin(t, "d/o", noise(2000, 98))
	e.fault(t, Fault{Status: http.StatusTooManyRequests, Times: 1, Header: http.Header{"Retry-After": {"36000"}}})
	if _, err := readFrom(e.ctx, e.retrying(), obj, 0, -1); err != nil {
		t.Fatal(err)
	}
}

func cancelledPause(t *testing.T, e *env) {
	obj := e.putPin(t, "d/o", noise(2000, 99))
	e.fault(t, Fault{Status: http.StatusTooManyRequests, Header: http.Header{"Retry-After": {"50"}}})
	ctx, cancel := context.WithCancel(e.ctx)
	defer cancel()
	p := quick()
	p.MaxRetryAfter = time.Minute
	p.OnRetry = func(error) { cancel() } // called before the pause
	_, err := readFrom(ctx, backends.WithRetry(e.Backend, p), obj, 0, -1)
	wantKind(t, err, obj.Ref, manifest.KindCanceled)
}

// manyReaders read at once while some of all requests fail in each way.
func manyReaders(t *testing.T, e *env) {
	data := noise(faultSize, 100)
	obj := e.putPin(t, "o", data)
	e.fault(t, Fault{Status: http.StatusServiceUnavailable, Times: 3})
	e.fault(t, Fault{Reset: true, Times: 3})
	e.fault(t, Fault{Op: DataOp, Body: &Damage{Cut, 1000}, Times: 3})
	e.fault(t, Fault{Op: DataOp, Body: &Damage{Stall, 5000}, Times: 2})
	b := backends.WithLimit(backends.WithRetry(e.Backend, patientRetry()), 8)
	g := errgroup.Group{}
	for range 16 {
		g.Go(func() error {
			got, err := readFrom(e.ctx, b, obj, 1000, 100_000)
			if err == nil && !bytes.Equal(got, data[1000:101_000]) {
				t.Errorf("got %d bytes, the first difference at %d", len(got), difference(got, data[1000:]))
			}
			return err
		})
	}
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}
}

// patientRetry is for readers of whom one may get all the faults.
func patientRetry() backends.RetryPolicy {
	p := quick()
	p.MaxAttempts = 20
	return p
}

// changedCut opens an object whose body breaks off, changes it, and reads on.
func (e *env) changedCut(t *testing.T, seed byte, change func(obj manifest.Object)) (obj manifest.Object, old, got []byte, err error) {
	t.Helper()
	old = noise(faultSize, seed)
	obj = e.putPin(t, "o", old)
	e.fault(t, Fault{Op: DataOp, Times: 1, Body: &Damage{Cut, 70_000}})
	body, _, err := e.retrying().Open(e.ctx, obj, 0, -1)
	if err != nil {
		t.Fatalf("Open: %v", err)
	}
	defer body.Close() //nolint:errcheck // only read
	got = make([]byte, 60_000)
	if _, err := io.ReadFull(body, got); err != nil {
		t.Fatalf("Read: %v", err)
	}
	change(obj)
	rest, err := io.ReadAll(body)
	got = append(got, rest...)
	if !bytes.Equal(got, old[:min(len(got), len(old))]) {
		t.Fatalf("got a mix: %d bytes, foreign from %d on", len(got), difference(got, old))
	}
	return obj, old, got, err
}

func overwrittenCut(t *testing.T, e *env) {
	obj, old, got, err := e.changedCut(t, 101, func(manifest.Object) { e.put(t, "o", noise(faultSize-1, 102)) })
	if e.Features.Versioned {
		if err != nil || len(got) != len(old) {
			t.Errorf("got %d bytes, %v, want all %d of the version", len(got), err, len(old))
		}
		return
	}
	wantKind(t, err, obj.Ref, manifest.KindChanged)
}

func deletedCut(t *testing.T, e *env) {
	obj, old, got, err := e.changedCut(t, 103, func(manifest.Object) {
		if err := e.Delete("o"); err != nil {
			t.Fatalf("delete: %v", err)
		}
	})
	if e.Features.Versioned {
		if err != nil || len(got) != len(old) {
			t.Errorf("got %d bytes, %v, want all %d of the version", len(got), err, len(old))
		}
		return
	}
	wantKind(t, err, obj.Ref, manifest.KindGone)
}
