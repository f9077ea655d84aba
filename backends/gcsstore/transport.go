package gcsstore

import (
	"net"
	"net/http"
	"time"

	"github.com/pinfs/pinfs/backends"
)

const (
	dialTimeout   = 10 * time.Second
	tlsTimeout    = 10 * time.Second
	headerTimeout = 60 * time.Second // the retry wrapper cuts reads earlier
	maxPageTime   = 5 * time.Minute
	idleTimeout   = 90 * time.Second

	// maxAnswer bounds an answer that is no content: a page of 1,000 objects with
	// the longest names has 3 MiB.
	maxAnswer = 64 << 20
)

// newTransport speaks HTTP/1.1: HTTP/2 would put all ranges onto one connection.
// There is no deadline for bodies, since they may be as long as objects.
func newTransport(conns int) *http.Transport {
	if conns <= 0 {
		conns = DefaultMaxConns
	}
	t := &http.Transport{
		Proxy:                 http.ProxyFromEnvironment,
		DialContext:           (&net.Dialer{Timeout: dialTimeout}).DialContext,
		MaxIdleConnsPerHost:   backends.KeptConns(conns),
		IdleConnTimeout:       idleTimeout,
		TLSHandshakeTimeout:   tlsTimeout,
		ResponseHeaderTimeout: headerTimeout,
		Protocols:             new(http.Protocols),
	}
	t.Protocols.SetHTTP1(true)
	return t
}

// signer is between Google's client and the network: it adds credentials, asks
// for content as it is stored, and bounds all other answers.
type signer struct {
	base  http.RoundTripper
	keys  *keyring // nil: anonymous
	quota bool     // the credentials' own project pays, if they name one
}

// RoundTrip sends one request once.
func (s *signer) RoundTrip(req *http.Request) (*http.Response, error) {
	req = req.Clone(req.Context())
	content := req.URL.Query().Get("alt") == "media"
	if content { // else the server unpacks what is stored with Content-Encoding gzip
		req.Header.Set("Accept-Encoding", "gzip")
	}
	if s.keys != nil {
		k, err := s.keys.get(req.Context())
		if err != nil {
			return nil, err
		}
		req.Header.Set("Authorization", k.authorization())
		if s.quota && k.project != "" {
			req.Header.Set("X-Goog-User-Project", k.project)
		}
	}
	resp, err := s.base.RoundTrip(req)
	if err == nil && !content {
		resp.Body = http.MaxBytesReader(nil, resp.Body, maxAnswer)
	}
	return resp, err
}

// stay follows no redirect, which would take the credentials along.
func stay(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
