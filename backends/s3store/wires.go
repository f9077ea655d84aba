package s3store

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync"
	"time"
	"unicode"
)

// wires are connections on which one goroutine sends a request and reads its answer.
// net/http's have two goroutines each, and hand each request over to one and each
// answer back from the other: for a small object that takes longer than the answer.
// They dial, trust and wait as the transport says, and keep as many idle ones; what
// goes through a proxy, or is redirected, is left to net/http.
type wires struct {
	transport *http.Transport

	mu     sync.Mutex
	idle   map[authority][]*wire // guarded by mu; the last used last
	sweep  *time.Timer           // guarded by mu; nil while none is idle
	closed bool                  // guarded by mu
}

// authority is who is asked.
type authority struct{ scheme, hostport string }

// host gives the name and the port.
func (a authority) host() (name, port string) {
	name, port, err := net.SplitHostPort(a.hostport)
	if err == nil {
		return name, port
	}
	name, port = a.hostport, "80"
	if a.scheme == "https" {
		port = "443"
	}
	if n := len(name); n > 1 && name[0] == '[' && name[n-1] == ']' {
		name = name[1 : n-1]
	}
	return name, port
}

// newWires makes wires like t's connections; nil if those can't be had.
func newWires(t *http.Transport) *wires {
	if t.DialTLSContext != nil || t.DisableKeepAlives || t.MaxConnsPerHost > 0 {
		return nil
	}
	return &wires{transport: t, idle: map[authority][]*wire{}}
}

// takes tells whether r is for w. net/http refuses control characters in a header.
func (w *wires) takes(r *http.Request) bool {
	if w == nil {
		return false
	}
	for _, values := range r.Header {
		if strings.ContainsFunc(strings.Join(values, ""), unicode.IsControl) {
			return false
		}
	}
	if w.transport.Proxy == nil {
		return true
	}
	proxy, err := w.transport.Proxy(r)
	return proxy == nil && err == nil
}

// do has a GET sent, perhaps twice, and gives its answer, whose body must be closed.
// Errors are like net/http's.
func (w *wires) do(ctx context.Context, at authority, send func(io.Writer) error) (*http.Response, error) {
	resp, err := w.askSome(ctx, at, send)
	if err != nil {
		return nil, &url.Error{Op: "Get", URL: at.scheme + "://" + at.hostport, Err: err}
	}
	return resp, nil
}

// askSome asks on a kept connection or on a new one.
func (w *wires) askSome(ctx context.Context, at authority, send func(io.Writer) error) (*http.Response, error) {
	if c := w.take(at); c != nil {
		resp, err := w.ask(ctx, c, at, send)
		if err == nil || c.heard || ctx.Err() != nil || errors.Is(err, os.ErrDeadlineExceeded) {
			return resp, err
		}
		// The server had closed it, as it may: asked anew.
	}
	c, err := w.dial(ctx, at)
	if err != nil {
		return nil, err
	}
	return w.ask(ctx, c, at, send)
}

// ask asks on c, which it owns.
func (w *wires) ask(ctx context.Context, c *wire, at authority, send func(io.Writer) error) (*http.Response, error) {
	stop := context.AfterFunc(ctx, c.close)
	resp, err := c.exchange(send, w.headerLimit(), w.longestHeader())
	if err != nil {
		stop()
		c.close()
		return nil, err
	}
	b := &wireBody{body: resp.Body, wires: w, wire: c, at: at, stop: stop, keep: !resp.Close && resp.StatusCode != http.StatusSwitchingProtocols}
	if resp.Body == http.NoBody {
		b.end(true)
	}
	resp.Body = b
	return resp, nil
}

func (w *wires) headerLimit() time.Duration {
	if t := w.transport.ResponseHeaderTimeout; t > 0 {
		return t
	}
	return headerTimeout
}

func (w *wires) longestHeader() int64 {
	if n := w.transport.MaxResponseHeaderBytes; n > 0 {
		return n
	}
	return maxHeader
}

// wireBody is a body; its connection is kept when it was read to its end.
type wireBody struct {
	body  io.Reader
	wires *wires
	wire  *wire // nil when it was given back
	at    authority
	stop  func() bool // ends what the context may do to wire
	keep  bool
}

func (b *wireBody) Read(p []byte) (int, error) {
	if b.wire == nil {
		return 0, io.EOF
	}
	n, err := b.body.Read(p)
	if err != nil {
		b.end(errors.Is(err, io.EOF))
	}
	return n, err
}

// Close gives up what was not read.
func (b *wireBody) Close() error {
	b.end(false)
	return nil
}

// end gives the connection back, or closes it.
func (b *wireBody) end(whole bool) {
	c := b.wire
	if c == nil {
		return
	}
	b.wire = nil
	untouched := b.stop()
	if whole && untouched && b.keep && c.in.Buffered() == 0 {
		b.wires.put(b.at, c)
		return
	}
	c.close()
}

// take gives an idle connection that is still good, the last used first; else nil.
func (w *wires) take(at authority) *wire {
	for {
		w.mu.Lock()
		all := w.idle[at]
		if len(all) == 0 {
			w.mu.Unlock()
			return nil
		}
		c := all[len(all)-1]
		all[len(all)-1] = nil
		w.idle[at] = all[:len(all)-1]
		w.mu.Unlock()
		if c.quiet() {
			return c
		}
		c.close()
	}
}

// put keeps c for the next request, if there is room.
func (w *wires) put(at authority, c *wire) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed || len(w.idle[at]) >= max(w.transport.MaxIdleConnsPerHost, 1) {
		c.close()
		return
	}
	c.since = time.Now()
	w.idle[at] = append(w.idle[at], c)
	if w.sweep == nil {
		w.sweep = time.AfterFunc(w.idleLimit(), w.sweepIdle)
	}
}

func (w *wires) idleLimit() time.Duration {
	if t := w.transport.IdleConnTimeout; t > 0 {
		return t
	}
	return idleTimeout
}

// sweepIdle closes connections that were idle for too long, and looks again later
// while there are others.
func (w *wires) sweepIdle() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for at, all := range w.idle {
		old := 0
		for old < len(all) && time.Since(all[old].since) >= w.idleLimit() {
			all[old].close()
			old++
		}
		if w.idle[at] = append([]*wire(nil), all[old:]...); len(w.idle[at]) == 0 {
			delete(w.idle, at)
		}
	}
	w.sweep = nil
	if len(w.idle) > 0 && !w.closed {
		w.sweep = time.AfterFunc(w.idleLimit(), w.sweepIdle)
	}
}

// close closes what is idle, and keeps nothing from now on.
func (w *wires) close() {
	if w == nil {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.closed = true
	if w.sweep != nil {
		w.sweep.Stop()
	}
	for at, all := range w.idle {
		for _, c := range all {
			c.close()
		}
		delete(w.idle, at)
	}
}
