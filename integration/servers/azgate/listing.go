package azgate

import (
	"bytes"
	"html"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// lister rewrites a listing of one container, which is XML of Azurite's making.
type lister struct {
	container           string
	versions, snapshots bool // what the client asked for

	entry, snapshot, name *regexp.Regexp
}

func newLister(container string, include []string) *lister {
	return &lister{
		container: container, versions: slices.Contains(include, "versions"), snapshots: slices.Contains(include, "snapshots"),
		entry:    regexp.MustCompile(`(?s)<Blob>.*?</Blob>`),
		snapshot: regexp.MustCompile(`<Snapshot>(.*?)</Snapshot>`),
		name:     regexp.MustCompile(`(?s)<Name>(.*?)</Name>`),
	}
}

// list answers a listing. Versions are listed through their snapshots.
func (g *Gate) list(w http.ResponseWriter, r *http.Request, container string) {
	include := strings.Split(r.URL.Query().Get("include"), ",")
	l := newLister(container, include)
	if l.versions {
		ask := slices.DeleteFunc(include, func(s string) bool { return s == "" || s == "versions" || s == "snapshots" })
		ask = append(ask, "snapshots")
		if !g.change(w, r, func(q url.Values) { q.Set("include", strings.Join(ask, ",")) }) {
			return
		}
	}
	r.Header.Del("Accept-Encoding")
	g.forward(w, r, func(resp *http.Response) error {
		if resp.StatusCode != http.StatusOK {
			return nil
		}
		doc, err := io.ReadAll(resp.Body)
		if err != nil {
			return err
		}
		_ = resp.Body.Close()
		doc = g.rewrite(doc, l)
		resp.Body, resp.ContentLength = io.NopCloser(bytes.NewReader(doc)), int64(len(doc))
		resp.Header.Set("Content-Length", strconv.Itoa(len(doc)))
		return nil
	})
}

func (g *Gate) rewrite(doc []byte, l *lister) []byte {
	g.mu.Lock()
	defer g.mu.Unlock()
	return l.entry.ReplaceAllFunc(doc, func(e []byte) []byte {
		name := l.name.FindSubmatch(e)
		if name == nil {
			return e
		}
		b := g.blobs[l.container+"/"+html.UnescapeString(string(name[1]))]
		if b == nil {
			return e
		}
		return l.line(e, b)
	})
}

// line gives what becomes of one entry; nil drops it. Gate.mu is held.
func (l *lister) line(e []byte, b *blob) []byte {
	snapshot := l.snapshot.FindSubmatch(e)
	if snapshot == nil || len(snapshot[1]) == 0 {
		if b.deleted || l.versions && b.current != "" {
			return nil // gone, or listed as a version
		}
		return e
	}
	id := string(snapshot[1])
	switch {
	case !b.has(id) && l.snapshots:
		return e
	case !b.has(id) || !l.versions:
		return nil
	}
	v := "<VersionId>" + id + "</VersionId>"
	if id == b.current {
		v += "<IsCurrentVersion>true</IsCurrentVersion>"
	}
	return bytes.Replace(e, snapshot[0], []byte(v), 1)
}
