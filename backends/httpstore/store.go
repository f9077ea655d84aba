package httpstore

import (
	"context"
	"io"
	"net/http"
	"net/url"

	"github.com/pinfs/pinfs/backends"
)

// drainable is how much of an unwanted body is read to keep its connection.
const drainable = 16 << 10

// Store is the driver. All methods may be called from many goroutines at once.
type Store struct {
	client  *http.Client
	headers []Header
	netrc   *netrcFile
	habits  habits
	rules   *backends.Rules
}

var _ backends.Backend = (*Store)(nil)

// New makes the driver; it sends nothing. KindInvalid for a named netrc file that
// can't be read.
func New(o Options) (*Store, error) {
	file, err := findNetrc(o.NetrcFile)
	if err != nil {
		return nil, err
	}
	transport := o.Transport
	if transport == nil {
		transport = newTransport(o)
	}
	return &Store{
		client:  &http.Client{Transport: transport, CheckRedirect: checkRedirect(o.Rules)},
		headers: o.Headers, netrc: file, rules: o.Rules,
	}, nil
}

// Close frees connections.
func (s *Store) Close() error {
	s.client.CloseIdleConnections()
	return nil
}

// request is one question to a server.
type request struct {
	op, ref string
	url     *url.URL
	method  string
	header  http.Header // but credentials
}

// send sends r, once more with another login if the one in netrc was changed, and
// gives any answer whose content is not coded. Errors are typed.
func (s *Store) send(ctx context.Context, r request) (*http.Response, error) {
	resp, err := s.once(ctx, r)
	if err == nil && resp.StatusCode == http.StatusUnauthorized && s.netrc.renewed(r.url.Hostname()) {
		discard(resp)
		resp, err = s.once(ctx, r)
	}
	if err != nil {
		return nil, err
	}
	if coding := resp.Header.Get("Content-Encoding"); coding != "" && coding != "identity" && succeeded(resp) {
		resp.Body.Close()
		return nil, coded(r, coding)
	}
	return resp, nil
}

func (s *Store) once(ctx context.Context, r request) (*http.Response, error) {
	if err := s.rules.URL(r.url); err != nil {
		return nil, failure(ctx, r.op, r.ref, err)
	}
	ctx, trail := withTrail(ctx)
	req, err := http.NewRequestWithContext(ctx, r.method, r.url.String(), nil)
	if err != nil {
		return nil, backends.Invalid(r.op, r.ref, "not a URL that can be asked for", "")
	}
	if r.header != nil {
		req.Header = r.header.Clone()
	}
	for name, values := range s.credentials(r.url) {
		req.Header[name] = values
	}
	req.Header.Set("Accept-Encoding", "identity")
	if req.Header.Get("User-Agent") == "" {
		req.Header.Set("User-Agent", "pinfs")
	}
	resp, err := s.client.Do(req)
	if err != nil {
		return nil, failure(ctx, r.op, r.ref, trail.strip(err))
	}
	return resp, nil
}

// succeeded tells whether resp has the object or a part of it.
func succeeded(resp *http.Response) bool {
	return resp.StatusCode == http.StatusOK || resp.StatusCode == http.StatusPartialContent
}

// discard ends an answer that nobody wants; a short one is read, so that its
// connection can be used again.
func discard(resp *http.Response) {
	if resp.ContentLength >= 0 && resp.ContentLength <= drainable {
		_, _ = io.CopyN(io.Discard, resp.Body, drainable) // until its end, or its context's
	}
	resp.Body.Close()
}
