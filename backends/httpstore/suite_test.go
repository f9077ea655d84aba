package httpstore_test

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pinfs/pinfs/backends"
	"github.com/pinfs/pinfs/backends/backendtest"
	"github.com/pinfs/pinfs/backends/httpstore"
)

// TestSuite runs the suite of all backends against net/http's own server, as the
// command has the driver; integration has a real one.
func TestSuite(t *testing.T) {
	for _, kind := range []string{"etag", "time", "etag, no ranges"} {
		t.Run(kind, func(t *testing.T) {
			features := backendtest.Features{Digest: backendtest.HexMD5, Extra: []string{"etag"}, ModTime: true}
			cannot := noListings()
			if kind == "time" {
				cannot["record as W&B does"] = "the digest is the URL, which the suite does not know: TestRecordsByWhatTheServerTells"
				cannot["put back as it was"] = "no write brings back an earlier time"
			}
			backendtest.Run(t, backendtest.Fixture{
				New:           func(t *testing.T) backendtest.Source { return source(t, kind) },
				Features:      features,
				NotApplicable: cannot,
				NoFaults:      "no proxy is in front of it: those of a real server are in integration",
			})
		})
	}
}

// noListings names what a source that lists nothing and keeps no versions has none
// of.
func noListings() map[string]string {
	cannot := map[string]string{}
	for _, name := range backendtest.Cases() {
		switch {
		case strings.HasPrefix(name, "odd "):
			cannot[name] = "a URL is percent-coded, its path is no literal key: TestNames"
		case strings.HasPrefix(name, "list "):
			cannot[name] = "a web server lists nothing"
		}
	}
	for _, name := range []string{"list one object", "list one object in the depth", "list nothing there", "list no such bucket", "list an object with a trailing slash"} {
		delete(cannot, name)
	}
	for _, name := range []string{"record by prefix as by name", "cancelled in the middle of a list"} {
		cannot[name] = "a web server lists nothing"
	}
	for _, name := range []string{"version deleted", "record a named version", "record a version that never was"} {
		cannot[name] = "a web server keeps no versions"
	}
	return cannot
}

// folder is what a server of the suite holds.
type folder struct {
	mu    sync.Mutex
	files map[string]*file // guarded by mu
	clock time.Time        // guarded by mu; a second on at each write
}

func source(t *testing.T, kind string) backendtest.Source {
	t.Helper()
	d := &folder{files: map[string]*file{}, clock: time.Now().Add(-20 * time.Second)}
	f := backendtest.NewScripted(t, func(w http.ResponseWriter, r *http.Request) { d.serve(w, r, kind) })
	return backendtest.Source{
		Backend: backends.Wrap(open(t, httpstore.Options{}), backends.Options{}),
		Root:    f.URL + "/root", Missing: f.URL + "/missing/x",
		Put: d.put, Delete: d.remove,
	}
}

func (d *folder) serve(w http.ResponseWriter, r *http.Request, kind string) {
	d.mu.Lock()
	f := d.files[strings.TrimPrefix(r.URL.Path, "/root/")]
	d.mu.Unlock()
	if f == nil {
		http.NotFound(w, r)
		return
	}
	now := *f
	if kind == "time" {
		now.etag = ""
	}
	if strings.HasSuffix(kind, "no ranges") {
		r.Header.Del("Range")
	}
	now.ServeHTTP(w, r)
}

func (d *folder) put(key string, data []byte) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.clock = d.clock.Add(time.Second)
	d.files[key] = &file{data: string(data), etag: fmt.Sprintf("%q", backendtest.HexMD5(data)), modified: d.clock}
	return nil
}

func (d *folder) remove(key string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.files, key)
	return nil
}
