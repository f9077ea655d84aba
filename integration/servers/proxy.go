package servers

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"
)

// Fault is one thing that goes wrong with a response. The zero values of its
// fields do nothing, so that a fault says only what it is about.
type Fault struct {
	// Match picks the requests that the fault hits; nil picks all.
	Match func(*http.Request) bool
	// Skip lets this many picked requests pass; then Times are hit, 0 being all.
	Skip, Times int

	// Delay is waited for before anything else happens.
	Delay time.Duration
	// Status answers at once, without asking the server; Code is the S3 error
	// code in its body.
	Status int
	Code   string
	// Header replaces fields of the answer's header.
	Header http.Header
	// Cut ends the connection after so many bytes of the body, Stall sends
	// nothing more after them and waits until the client goes, Flip inverts the
	// bits of the byte at that offset.
	Cut, Stall, Flip *int64
}

// At gives an offset for Fault's fields.
func At(n int64) *int64 { return &n }

// FaultProxy is an HTTP proxy in front of one server that injects faults and
// counts requests. It forwards Host as the client signed it. All methods may be
// called from many goroutines at once.
type FaultProxy struct {
	Endpoint string

	target    *url.URL
	server    *httptest.Server
	transport *http.Transport
	done      chan struct{}

	mu      sync.Mutex     // guards all below
	faults  []*Fault       // with their counts
	counts  map[string]int // by "METHOD /path?query"
	traffic Traffic
	now     int // GETs under way
}

// Traffic is what went through a proxy.
type Traffic struct {
	// Bytes of bodies that were sent to clients.
	Bytes int64
	// Peak is the most GETs that were under way at once.
	Peak int
}

// StartFaultProxy starts a proxy in front of endpoint and ends it with the test.
func StartFaultProxy(t testing.TB, endpoint string) *FaultProxy {
	t.Helper()
	target, err := url.Parse(endpoint)
	if err != nil {
		t.Fatal(err)
	}
	p := &FaultProxy{
		target: target, counts: map[string]int{}, done: make(chan struct{}),
		transport: &http.Transport{DisableCompression: true, MaxIdleConnsPerHost: 64},
	}
	p.server = httptest.NewServer(p)
	p.Endpoint = p.server.URL
	t.Cleanup(func() {
		close(p.done)
		p.server.CloseClientConnections()
		p.server.Close()
		p.transport.CloseIdleConnections()
	})
	return p
}

// Inject adds a fault; the first that hits a request is the only one it gets.
func (p *FaultProxy) Inject(f Fault) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.faults = append(p.faults, &f)
}

// Heal removes all faults.
func (p *FaultProxy) Heal() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.faults = nil
}

// Count gives how many requests match picked came, hit by a fault or not; match
// sees the method and the path with its query.
func (p *FaultProxy) Count(match func(method, path string) bool) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := 0
	for request, count := range p.counts {
		if method, path, _ := strings.Cut(request, " "); match(method, path) {
			n += count
		}
	}
	return n
}

// Traffic gives what went through since the last call.
func (p *FaultProxy) Traffic() Traffic {
	p.mu.Lock()
	defer p.mu.Unlock()
	t := p.traffic
	p.traffic = Traffic{}
	return t
}

// busy counts the requests under way by by.
func (p *FaultProxy) busy(r *http.Request, by int) {
	if r.Method != http.MethodGet {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.now += by
	p.traffic.Peak = max(p.traffic.Peak, p.now)
}

// pick counts the request and gives the fault that hits it, or nil.
func (p *FaultProxy) pick(r *http.Request) *Fault {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.counts[r.Method+" "+r.RequestURI]++
	for i, f := range p.faults {
		if f.Match != nil && !f.Match(r) {
			continue
		}
		if f.Skip > 0 {
			f.Skip--
			continue
		}
		if f.Times > 0 {
			if f.Times--; f.Times == 0 {
				p.faults = append(p.faults[:i:i], p.faults[i+1:]...)
			}
		}
		return f
	}
	return nil
}

// ServeHTTP forwards one request.
func (p *FaultProxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f := p.pick(r)
	if f == nil {
		f = &Fault{}
	}
	p.busy(r, 1)
	defer p.busy(r, -1)
	if !p.pause(r.Context(), f.Delay) {
		return
	}
	if f.Status != 0 {
		refuse(w, r, f)
		return
	}
	resp, err := p.transport.RoundTrip(p.outgoing(r))
	if err != nil {
		panic(http.ErrAbortHandler) // the server is gone: so is the proxy's answer
	}
	defer resp.Body.Close()
	for name, values := range resp.Header {
		w.Header()[name] = values
	}
	for name, values := range f.Header {
		w.Header()[name] = values
	}
	w.WriteHeader(resp.StatusCode)
	p.send(r.Context(), w, &counted{resp.Body, p}, f)
}

// outgoing is r with its path byte for byte and its Host as it was signed.
func (p *FaultProxy) outgoing(r *http.Request) *http.Request {
	out := r.Clone(r.Context())
	path, query, _ := strings.Cut(r.RequestURI, "?")
	out.URL = &url.URL{Scheme: p.target.Scheme, Host: p.target.Host, Opaque: path, RawQuery: query}
	out.RequestURI = ""
	if r.ContentLength == 0 {
		out.Body = nil
	}
	return out
}

// pause waits; false when the client or the proxy went away meanwhile.
func (p *FaultProxy) pause(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return true
	}
	select {
	case <-time.After(d):
		return true
	case <-ctx.Done():
	case <-p.done:
	}
	return false
}

// send copies the body with the faults that are in it.
func (p *FaultProxy) send(ctx context.Context, w http.ResponseWriter, body io.Reader, f *Fault) {
	if f.Flip != nil {
		body = &flipper{r: body, at: *f.Flip}
	}
	end := f.Cut
	if end == nil {
		end = f.Stall
	}
	if end == nil {
		_, _ = io.Copy(w, body)
		return
	}
	_, _ = io.CopyN(w, body, *end)
	_ = http.NewResponseController(w).Flush()
	if f.Cut != nil {
		panic(http.ErrAbortHandler)
	}
	select {
	case <-ctx.Done():
	case <-p.done:
	}
}

// refuse answers as S3 does when it refuses.
func refuse(w http.ResponseWriter, r *http.Request, f *Fault) {
	for name, values := range f.Header {
		w.Header()[name] = values
	}
	w.Header().Set("Content-Type", "application/xml")
	w.WriteHeader(f.Status)
	if r.Method != http.MethodHead {
		fmt.Fprintf(w, "<?xml version=\"1.0\"?>\n<Error><Code>%s</Code><Message>injected</Message></Error>", f.Code)
	}
}

// flipper inverts the byte at offset at.
type flipper struct {
	r  io.Reader
	at int64
}

func (f *flipper) Read(p []byte) (int, error) {
	n, err := f.r.Read(p)
	if f.at >= 0 && f.at < int64(n) {
		p[f.at] ^= 0xff
	}
	f.at -= int64(n)
	return n, err
}

// counted counts what is read.
type counted struct {
	r io.Reader
	p *FaultProxy
}

func (c *counted) Read(b []byte) (int, error) {
	n, err := c.r.Read(b)
	c.p.mu.Lock()
	defer c.p.mu.Unlock()
	c.p.traffic.Bytes += int64(n)
	return n, err
}
