package azgate

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"time"
)

// snapshotPause keeps two snapshots apart: their times have milliseconds.
const snapshotPause = 2 * time.Millisecond

// serveBlob answers a request for one blob.
func (g *Gate) serveBlob(w http.ResponseWriter, r *http.Request, path string) {
	q, b := r.URL.Query(), g.blob(path)
	read := r.Method == http.MethodGet || r.Method == http.MethodHead
	switch {
	case q.Has("versionid"):
		g.serveVersion(w, r, b, q.Get("versionid"))
	case q.Get("snapshot") != "":
		g.forward(w, r, nil)
	case read:
		g.readCurrent(w, r, b)
	case r.Method == http.MethodDelete:
		g.delete(w, r, b)
	case r.Method == http.MethodPut && writes(q.Get("comp")):
		g.write(w, r, b)
	default:
		g.forward(w, r, nil)
	}
}

// writes says whether a PUT with this comp makes a version.
func writes(comp string) bool { return comp == "" || comp == "blocklist" || comp == "metadata" }

func (g *Gate) readCurrent(w http.ResponseWriter, r *http.Request, b *blob) {
	if g.isDeleted(b) {
		notFound(w)
		return
	}
	g.forward(w, r, func(resp *http.Response) error {
		if resp.StatusCode >= http.StatusBadRequest {
			return nil
		}
		etag := resp.Header.Get("ETag")
		id, current := g.written(b, etag)
		if id == "" { // it may be between its write and its snapshot
			b.settle()
			id, current = g.written(b, etag)
		}
		named(resp.Header, id, current)
		return nil
	})
}

// named puts a version's id into a response.
func named(h http.Header, id string, current bool) {
	if id != "" {
		h.Set("X-Ms-Version-Id", id)
	}
	if current {
		h.Set("X-Ms-Is-Current-Version", "true")
	}
}

func (g *Gate) serveVersion(w http.ResponseWriter, r *http.Request, b *blob, id string) {
	if _, err := time.Parse(time.RFC3339Nano, id); err != nil {
		refuse(w, http.StatusBadRequest, "InvalidQueryParameterValue", "Value for one of the query parameters specified in the request URI is invalid.")
		return
	}
	known, current := g.version(b, id)
	if !known {
		notFound(w)
		return
	}
	if current && r.Method == http.MethodDelete {
		refuse(w, http.StatusForbidden, "OperationNotAllowedOnRootBlob", "The specified operation is not allowed on root blob.")
		return
	}
	if !g.change(w, r, func(q url.Values) { q.Del("versionid"); q.Set("snapshot", id) }) {
		return
	}
	g.forward(w, r, func(resp *http.Response) error {
		resp.Header.Del("X-Ms-Snapshot")
		if resp.StatusCode < http.StatusBadRequest {
			named(resp.Header, id, current)
		}
		if r.Method == http.MethodDelete && resp.StatusCode == http.StatusAccepted {
			g.drop(b, id)
		}
		return nil
	})
}

// delete makes the current version a previous one.
func (g *Gate) delete(w http.ResponseWriter, r *http.Request, b *blob) {
	b.write.Lock()
	defer b.write.Unlock()
	if g.isDeleted(b) {
		notFound(w)
		return
	}
	if !g.change(w, r, func(url.Values) {}) {
		return
	}
	if g.remove(b) {
		w.Header().Set("X-Ms-Version", r.Header.Get("X-Ms-Version"))
		w.WriteHeader(http.StatusAccepted)
		return
	}
	g.forward(w, r, nil)
}

func (g *Gate) write(w http.ResponseWriter, r *http.Request, b *blob) {
	b.write.Lock()
	defer b.write.Unlock()
	if g.isDeleted(b) {
		if !g.change(w, r, func(url.Values) { r.Header.Del("If-None-Match") }) {
			return
		}
	}
	g.forward(w, r, func(resp *http.Response) error {
		if resp.StatusCode >= http.StatusMultipleChoices {
			return nil
		}
		id, err := g.snapshot(r.Context(), r.URL)
		if err != nil {
			return err
		}
		g.wrote(b, id, resp.Header.Get("ETag"))
		resp.Header.Set("X-Ms-Version-Id", id)
		return nil
	})
}

// snapshot takes a snapshot of the blob at u and gives its time.
func (g *Gate) snapshot(ctx context.Context, u *url.URL) (string, error) {
	target := *u
	target.Scheme, target.Host, target.RawQuery = g.upstream.Scheme, g.upstream.Host, "comp=snapshot"
	req, err := http.NewRequestWithContext(ctx, http.MethodPut, target.String(), nil)
	if err != nil {
		return "", err
	}
	if err := g.credential.Sign(req); err != nil {
		return "", err
	}
	resp, err := g.transport.RoundTrip(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	id := resp.Header.Get("X-Ms-Snapshot")
	if id == "" {
		return "", fmt.Errorf("snapshot of %s: %s %s", u.Path, resp.Status, resp.Header.Get("X-Ms-Error-Code"))
	}
	time.Sleep(snapshotPause)
	return id, nil
}
