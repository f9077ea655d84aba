package httpstore

import (
	"net"
	"net/http"
	"net/netip"
	"syscall"
)

// maxHeaderBytes bounds what a server may send as headers.
const maxHeaderBytes = 256 << 10

const errLinkLocal policy = "a link-local address, where clouds keep credentials: it is not asked"

// newTransport makes one with HTTP/1.1 only, since HTTP/2 would put all ranges
// onto one connection, and without decompression.
func newTransport(o Options) *http.Transport {
	times, conns := o.Timeouts.filled(), o.MaxConns
	if conns <= 0 {
		conns = DefaultMaxConns
	}
	dialer := &net.Dialer{Timeout: times.Dial}
	if !o.LinkLocal {
		dialer.Control = refuseLinkLocal
	}
	t := &http.Transport{
		Proxy:                  http.ProxyFromEnvironment,
		DialContext:            dialer.DialContext,
		TLSHandshakeTimeout:    times.TLS,
		ResponseHeaderTimeout:  times.Header,
		IdleConnTimeout:        times.Idle,
		MaxIdleConnsPerHost:    conns,
		DisableCompression:     true,
		MaxResponseHeaderBytes: maxHeaderBytes,
		Protocols:              new(http.Protocols),
	}
	t.Protocols.SetHTTP1(true)
	return t
}

// refuseLinkLocal looks at the address that a name resolved to, so that no name
// and no redirect gets around it.
func refuseLinkLocal(_, address string, _ syscall.RawConn) error {
	at, err := netip.ParseAddrPort(address)
	if err == nil && at.Addr().Unmap().IsLinkLocalUnicast() {
		return errLinkLocal
	}
	return nil
}
