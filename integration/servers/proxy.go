package servers

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
)

// FaultProxy is an HTTP proxy in front of one server that injects faults and
// counts requests. It forwards Host as the client signed it. All methods may be
// called from many goroutines at once.
type FaultProxy struct {
	// Endpoint has the path of the endpoint that is behind.
	Endpoint string
	// Dialect is how refusals look; to be set before the first request.
	Dialect Dialect

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
	p.Endpoint = p.server.URL + target.Path
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

// Quiet ends the idle connections to the server.
func (p *FaultProxy) Quiet() { p.transport.CloseIdleConnections() }

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
		if f.Match != nil && !f.Match(r) || p.now < f.Above {
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
	switch {
	case f.Reset:
		panic(http.ErrAbortHandler)
	case f.Silent:
		p.waitGone(r.Context())
	case f.Status != 0:
		p.Dialect.refuse(w, r, f)
	default:
		p.pass(w, r, f)
	}
}

// pass asks the server and damages its answer.
func (p *FaultProxy) pass(w http.ResponseWriter, r *http.Request, f *Fault) {
	resp, err := p.transport.RoundTrip(p.outgoing(r, f))
	if err != nil {
		panic(http.ErrAbortHandler) // the server is gone: so is the proxy's answer
	}
	defer resp.Body.Close()
	if resp.StatusCode >= http.StatusMultipleChoices || r.Method == http.MethodHead {
		f = &Fault{Header: f.Header}
	}
	body := misframe(resp, f)
	for name, values := range resp.Header {
		w.Header()[name] = values
	}
	f.setHeader(w.Header())
	w.WriteHeader(resp.StatusCode)
	p.send(r.Context(), w, &counted{body, p}, f)
}

// outgoing is r with its path byte for byte and its Host as it was signed.
func (p *FaultProxy) outgoing(r *http.Request, f *Fault) *http.Request {
	out := r.Clone(r.Context())
	path, query, _ := strings.Cut(r.RequestURI, "?")
	out.URL = &url.URL{Scheme: p.target.Scheme, Host: p.target.Host, Opaque: path, RawQuery: query}
	out.RequestURI = ""
	if r.ContentLength == 0 {
		out.Body = nil
	}
	if f.Whole {
		out.Header.Del("Range")
	}
	return out
}
