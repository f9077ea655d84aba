package backendtest

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/pinfs/pinfs/backends"
	"github.com/pinfs/pinfs/manifest"
)

// Driver is a driver of a cloud store that talks to scripted servers, for what all
// of them must do alike.
type Driver struct {
	// New makes the driver for a server at a URL; dialer, if any, makes its connections.
	New func(t *testing.T, url string, dialer *http.Transport) backends.Backend
	// Object is pinned and has three bytes; URI is a folder of its bucket.
	Object manifest.Object
	URI    string
	// Host is a host of the store that does not exist; NoHost what errors say of it.
	Host   string
	NoHost []string
	// Busy answers like a server that wants fewer requests.
	Busy http.HandlerFunc
	// IsRead tells requests for contents; Header is of the answers to them.
	IsRead  func(*http.Request) bool
	Header  http.Header
	Secrets Secrets
}

// calls are the three of a driver.
func (d *Driver) calls(ctx context.Context, s backends.Backend) map[string]error {
	_, statErr := s.Stat(ctx, d.Object)
	_, openErr := Read(ctx, s, d.Object, 0, -1)
	_, listErr := List(ctx, s, d.URI)
	return map[string]error{"Stat": statErr, "Open": openErr, "List": listErr}
}

// RetryAfter wants the server's wait kept, in all forms of values that its header
// may have.
func (d *Driver) RetryAfter(t *testing.T, header string, values map[string]time.Duration) {
	for value, want := range values {
		s := d.New(t, NewScripted(t, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set(header, value)
			d.Busy(w, r)
		}).URL, nil)
		for call, err := range d.calls(t.Context(), s) {
			d.Secrets.WantError(t, err, manifest.KindThrottled)
			if got := backends.RetryAfter(err); got != want {
				t.Errorf("%s, %s %q: %v, want %v", call, header, value, got, want)
			}
		}
	}
}

// Waits are values of Retry-After and what they mean.
func Waits() map[string]time.Duration {
	return map[string]time.Duration{
		"7": 7 * time.Second, "": 0, "-3": 0, "junk": 0, "99999999999999999999": 0,
		time.Now().Add(-time.Hour).UTC().Format(http.TimeFormat): 0,
	}
}

// NoRetry wants one request for each call that is refused: the budget is the
// wrapper's alone.
func (d *Driver) NoRetry(t *testing.T) {
	f := NewScripted(t, d.Busy)
	d.calls(t.Context(), d.New(t, f.URL, nil))
	if n := f.CountOf(nil); n != 3 {
		t.Errorf("%d requests for 3 calls that were refused", n)
	}
}

// Unreachable: a port that refuses, a host without an address, a server that hangs up.
func (d *Driver) Unreachable(t *testing.T) {
	gone := NewScripted(t, nil)
	gone.Close()
	nowhere := &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) {
		return nil, &net.OpError{Op: "dial", Net: "tcp", Err: &net.DNSError{Err: "no such host", Name: d.Host, IsNotFound: true}}
	}}
	mute := NewScripted(t, func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
	for name, c := range map[string]struct {
		url    string
		dialer *http.Transport
		words  []string
	}{
		"refused": {gone.URL, nil, []string{"connection refused"}},
		"name":    {"http://" + d.Host, nowhere, append(d.NoHost, "host '"+d.Host+"' does not resolve")},
		"mute":    {mute.URL, nil, []string{"EOF"}},
	} {
		t.Run(name, func(t *testing.T) {
			for _, err := range d.calls(t.Context(), d.New(t, c.url, c.dialer)) {
				d.Secrets.WantError(t, err, manifest.KindUnreachable, c.words...)
			}
		})
	}
}

// Ends: a caller that gives up, and a deadline, before and in the body.
func (d *Driver) Ends(t *testing.T) {
	hang := make(chan struct{})
	defer close(hang)
	s := d.New(t, NewScripted(t, func(w http.ResponseWriter, r *http.Request) {
		if d.IsRead(r) {
			for name, values := range d.Header {
				w.Header()[name] = values
			}
			w.Header().Set("Content-Length", "3")
			_, _ = io.WriteString(w, "a")
			_ = http.NewResponseController(w).Flush()
		}
		select {
		case <-r.Context().Done():
		case <-hang:
		}
	}).URL, nil)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	for _, err := range d.calls(ctx, s) {
		d.Secrets.WantError(t, err, manifest.KindTimeout)
	}

	ctx, cancel = context.WithCancel(t.Context())
	defer cancel()
	body, _, err := s.Open(ctx, d.Object, 0, -1)
	if err != nil {
		t.Fatal(err)
	}
	defer body.Close() //nolint:errcheck // it was cut
	time.AfterFunc(20*time.Millisecond, cancel)
	got, err := io.ReadAll(body)
	d.Secrets.WantError(t, err, manifest.KindCanceled)
	if string(got) != "a" || !errors.Is(err, context.Canceled) {
		t.Errorf("got %q, %v", got, err)
	}
}
