package httpstore

import (
	"net"
	"net/http"

	"github.com/pinfs/pinfs/backends"
)

// maxHeaderBytes bounds what a server may send as headers.
const maxHeaderBytes = 256 << 10

// newTransport makes one with HTTP/1.1 only, since HTTP/2 would put all ranges
// onto one connection, and without decompression.
func newTransport(o Options) *http.Transport {
	times, conns := o.Timeouts.filled(), o.MaxConns
	if conns <= 0 {
		conns = DefaultMaxConns
	}
	t := &http.Transport{
		Proxy:                  http.ProxyFromEnvironment,
		DialContext:            o.Rules.Dial(net.Dialer{Timeout: times.Dial}, ""),
		TLSHandshakeTimeout:    times.TLS,
		ResponseHeaderTimeout:  times.Header,
		IdleConnTimeout:        times.Idle,
		MaxIdleConnsPerHost:    backends.KeptConns(conns),
		DisableCompression:     true,
		MaxResponseHeaderBytes: maxHeaderBytes,
		Protocols:              new(http.Protocols),
	}
	t.Protocols.SetHTTP1(true)
	return t
}
