package gcsgate

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strconv"
	"strings"
)

// Gate is an http.Handler. Its methods may be called from many goroutines at once.
type Gate struct {
	upstream  *url.URL
	transport *http.Transport
	proxy     *httputil.ReverseProxy
}

var _ http.Handler = (*Gate)(nil)

// New gives a gate in front of the fake-gcs-server at upstream, which must have
// that address as its public host.
func New(upstream *url.URL) *Gate {
	g := &Gate{upstream: upstream, transport: &http.Transport{MaxIdleConnsPerHost: 64, DisableCompression: true}}
	g.proxy = &httputil.ReverseProxy{
		FlushInterval: -1, Transport: g.transport,
		Rewrite: func(p *httputil.ProxyRequest) {
			p.SetURL(upstream)
			p.Out.Host = upstream.Host // it tells objects from buckets by its public host
		},
		ModifyResponse: amend,
		ErrorHandler: func(http.ResponseWriter, *http.Request, error) {
			panic(http.ErrAbortHandler) // the server is gone: so is the gate's answer
		},
	}
	return g
}

// Close closes idle connections to the server.
func (g *Gate) Close() { g.transport.CloseIdleConnections() }

// ServeHTTP answers one request.
func (g *Gate) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		g.proxy.ServeHTTP(w, r)
		return
	}
	if isListing(r.URL) {
		g.list(w, r)
		return
	}
	if t, ok := parseTarget(r.URL); ok && conditional(r) {
		m, err := g.meta(r.Context(), t, r.URL.Query().Get("generation"))
		if err == nil { // if not, the server says what is wrong
			if status := verdict(r, m, t.xml); status != 0 {
				refuse(w, status)
				return
			}
		}
	}
	g.proxy.ServeHTTP(w, r)
}

// amend corrects a response of the server.
func amend(resp *http.Response) error {
	h := resp.Header
	if h.Get("X-Goog-Generation") != "" {
		t, ok := parseTarget(resp.Request.URL)
		amendRead(h, ok && t.xml)
		return nil
	}
	if !strings.HasPrefix(h.Get("Content-Type"), "application/json") || resp.StatusCode != http.StatusOK {
		return nil
	}
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	_ = resp.Body.Close()
	setBody(resp, amendJSON(body))
	return nil
}

func setBody(resp *http.Response, body []byte) {
	resp.Body, resp.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	resp.Header.Set("Content-Length", strconv.Itoa(len(body)))
}

// amendJSON corrects an object's metadata, alone or inside the answer to a
// rewrite; anything else it gives back unchanged.
func amendJSON(body []byte) []byte {
	var doc fields
	if json.Unmarshal(body, &doc) != nil {
		return body
	}
	switch doc.text("kind") {
	case "storage#object":
		doc.amend()
	case "storage#rewriteResponse":
		var inner fields
		if json.Unmarshal(doc["resource"], &inner) != nil {
			return body
		}
		inner.amend()
		doc["resource"] = mustJSON(inner)
	default:
		return body
	}
	return mustJSON(doc)
}
