package azgate

import (
	"fmt"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
)

// Gate is an http.Handler. Its methods may be called from many goroutines at once.
type Gate struct {
	upstream   *url.URL
	credential Credential
	transport  *http.Transport

	mu    sync.Mutex // guards blobs and what they say it guards
	blobs map[string]*blob
}

var _ http.Handler = (*Gate)(nil)

// New gives a gate in front of the Azurite at upstream, for one account with
// URLs of the emulator's form: /account/container/blob.
func New(upstream *url.URL, c Credential) *Gate {
	return &Gate{
		upstream: upstream, credential: c, blobs: map[string]*blob{},
		transport: &http.Transport{MaxIdleConnsPerHost: 64, DisableCompression: true},
	}
}

// Close closes idle connections to the server.
func (g *Gate) Close() { g.transport.CloseIdleConnections() }

// ServeHTTP answers one request.
func (g *Gate) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	segments := strings.SplitN(strings.TrimPrefix(r.URL.Path, "/"), "/", 3)
	q := r.URL.Query()
	switch {
	case len(segments) == 3 && segments[2] != "":
		g.serveBlob(w, r, segments[1]+"/"+segments[2])
	case len(segments) >= 2 && r.Method == http.MethodGet && q.Get("comp") == "list":
		g.list(w, r, segments[1])
	case len(segments) >= 2 && r.Method == http.MethodDelete && q.Get("restype") == "container":
		g.forward(w, r, func(resp *http.Response) error {
			if resp.StatusCode == http.StatusAccepted {
				g.forget(segments[1])
			}
			return nil
		})
	default:
		g.forward(w, r, nil)
	}
}

// forward passes the request on; amend, which may be nil, corrects the response.
func (g *Gate) forward(w http.ResponseWriter, r *http.Request, amend func(*http.Response) error) {
	(&httputil.ReverseProxy{
		FlushInterval: -1, Transport: g.transport, ModifyResponse: amend,
		Rewrite: func(p *httputil.ProxyRequest) {
			p.Out.URL.Scheme, p.Out.URL.Host, p.Out.Host = g.upstream.Scheme, g.upstream.Host, g.upstream.Host
			lowerMetadata(p.Out.Header)
		},
		ErrorHandler: func(http.ResponseWriter, *http.Request, error) {
			panic(http.ErrAbortHandler) // the server is gone: so is the gate's answer
		},
	}).ServeHTTP(w, r)
}

// lowerMetadata gives metadata back the lower case that Go's server took from its
// names: Azurite keeps them as they come.
func lowerMetadata(h http.Header) {
	for name, values := range h {
		if strings.HasPrefix(name, "X-Ms-Meta-") {
			delete(h, name)
			h[strings.ToLower(name)] = values
		}
	}
}

// change lets edit alter the request; a Shared Key is checked before and made
// anew after. False when it was wrong: the client has its answer then.
func (g *Gate) change(w http.ResponseWriter, r *http.Request, edit func(q url.Values)) bool {
	signed := r.Header.Get("Authorization") != ""
	if signed && !g.credential.signed(r) {
		refuse(w, http.StatusForbidden, "AuthenticationFailed", "Server failed to authenticate the request.")
		return false
	}
	q := r.URL.Query()
	edit(q)
	r.URL.RawQuery = q.Encode()
	if signed {
		if err := g.credential.Sign(r); err != nil {
			refuse(w, http.StatusInternalServerError, "InternalError", err.Error())
			return false
		}
	}
	return true
}

// refuse answers as Azure does when it refuses.
func refuse(w http.ResponseWriter, status int, code, message string) {
	w.Header().Set("X-Ms-Error-Code", code)
	w.Header().Set("Content-Type", "application/xml")
	w.WriteHeader(status)
	_, _ = fmt.Fprintf(w, `<?xml version="1.0" encoding="utf-8"?><Error><Code>%s</Code><Message>%s</Message></Error>`, code, message)
}

func notFound(w http.ResponseWriter) {
	refuse(w, http.StatusNotFound, "BlobNotFound", "The specified blob does not exist.")
}
