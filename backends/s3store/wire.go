package s3store

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// wireBuffer holds the header of an answer together with a small object, so that
	// both come in one read, in bytes.
	wireBuffer = 16 << 10
	// maxHeader bounds the header of an answer unless the transport does, in bytes.
	maxHeader = 10 << 20
	// maxInterim bounds the interim answers (1xx) before one.
	maxInterim = 5
)

var errLongHeader = errors.New("the answer's header is too long")

// wire is one connection. One goroutine at a time has it, that of a request and then
// that of its body; only a context that ends closes it besides.
type wire struct {
	conn  net.Conn
	under net.Conn        // below TLS
	raw   syscall.RawConn // nil if under has none
	in    *bufio.Reader
	left  int64 // bytes that may still be read, while a header is
	heard bool  // something came since the last request
	since time.Time
}

func newWire(conn net.Conn) *wire {
	c := &wire{conn: conn, under: conn, left: math.MaxInt64}
	c.in = bufio.NewReaderSize(c, wireBuffer)
	if t, ok := conn.(*tls.Conn); ok {
		c.under = t.NetConn()
	}
	if s, ok := c.under.(syscall.Conn); ok {
		c.raw, _ = s.SyscallConn() // nil if it can't be had
	}
	return c
}

// Read reads from the connection, for in.
func (c *wire) Read(p []byte) (int, error) {
	if c.left <= 0 {
		return 0, errLongHeader
	}
	n, err := c.conn.Read(p[:min(int64(len(p)), c.left)])
	c.left -= int64(n)
	c.heard = c.heard || n > 0
	return n, err
}

// quiet tells whether nothing came since the last answer: not its end either.
func (c *wire) quiet() bool {
	if c.raw == nil {
		return true
	}
	var found error
	var one [1]byte
	err := c.raw.Read(func(fd uintptr) bool {
		_, _, found = unix.Recvfrom(int(fd), one[:], unix.MSG_PEEK|unix.MSG_DONTWAIT)
		return true
	})
	return err == nil && errors.Is(found, unix.EAGAIN)
}

// exchange has a GET sent and reads the answer up to its body, within limit.
func (c *wire) exchange(send func(io.Writer) error, limit time.Duration, header int64) (*http.Response, error) {
	c.heard, c.left = false, header
	if err := c.conn.SetDeadline(time.Now().Add(limit)); err != nil {
		return nil, err
	}
	if err := send(c.conn); err != nil {
		return nil, err
	}
	resp, err := c.answer()
	if err != nil {
		return nil, err
	}
	c.left = math.MaxInt64
	return resp, c.conn.SetDeadline(time.Time{})
}

// answer reads the header of an answer that is none in the meantime.
func (c *wire) answer() (*http.Response, error) {
	for range maxInterim + 1 {
		resp, err := http.ReadResponse(c.in, nil) // as for a GET
		if err != nil || resp.StatusCode >= http.StatusOK || resp.StatusCode == http.StatusSwitchingProtocols {
			return resp, err
		}
	}
	return nil, errors.New("too many interim answers")
}

// close tells nobody: nothing was written that could be lost, and TLS would wait for
// a server that does not read.
func (c *wire) close() { _ = c.under.Close() }

// dial makes a connection to a host of a scheme.
func (w *wires) dial(ctx context.Context, at authority) (*wire, error) {
	name, port := at.host()
	conn, err := w.dialer()(ctx, "tcp", net.JoinHostPort(name, port))
	if err != nil || at.scheme != "https" {
		if err != nil {
			return nil, err
		}
		return newWire(conn), nil
	}
	secure := tls.Client(conn, w.tlsConfig(name))
	if limit := w.transport.TLSHandshakeTimeout; limit > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, limit)
		defer cancel()
	}
	if err := secure.HandshakeContext(ctx); err != nil {
		_ = conn.Close()
		return nil, fmt.Errorf("TLS handshake: %w", err)
	}
	return newWire(secure), nil
}

func (w *wires) dialer() func(ctx context.Context, network, addr string) (net.Conn, error) {
	if d := w.transport.DialContext; d != nil {
		return d
	}
	return (&net.Dialer{Timeout: dialTimeout}).DialContext
}

// tlsConfig is the transport's, for a server by that name, and for HTTP/1.1 alone.
func (w *wires) tlsConfig(name string) *tls.Config {
	c := &tls.Config{}
	if w.transport.TLSClientConfig != nil {
		c = w.transport.TLSClientConfig.Clone()
	}
	c.NextProtos = nil
	if c.ServerName == "" {
		c.ServerName = name
	}
	return c
}
