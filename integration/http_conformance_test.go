package integration_test

import (
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pinfs/pinfs/backends/backendtest"
	"github.com/pinfs/pinfs/backends/httpstore"
	"github.com/pinfs/pinfs/integration/servers"
)

// TestHTTPConformance runs the suite of all backends against nginx: pinned by
// ETag, by time and size, without ranges, without HEAD, and behind redirects.
func TestHTTPConformance(t *testing.T) {
	for name, place := range map[string]string{
		"etag": servers.HTTPPlain, "time": servers.HTTPNoETag, "no ranges": servers.HTTPNoRange, "no HEAD": servers.HTTPNoHead,
		"redirected": servers.HTTPRedirect,
	} {
		t.Run(name, func(t *testing.T) { (&httpSuite{server: shared.nginx.Get(t), place: place}).run(t) })
	}
}

// httpSuite runs the suite at one place of nginx, each case in a directory of its
// own.
type httpSuite struct {
	server *servers.Nginx
	place  string
	cases  atomic.Int64

	mu   sync.Mutex
	last time.Time // guarded by mu: when the newest file was modified
}

func (s *httpSuite) run(t *testing.T) {
	f := backendtest.Fixture{
		New:           s.source,
		Features:      backendtest.Features{Digest: s.etag, Extra: []string{"etag"}, ModTime: true},
		NotApplicable: httpCannot(),
	}
	switch s.place {
	case servers.HTTPRedirect:
		f.NoFaults = "they would hit the answer that redirects"
	case servers.HTTPNoETag:
		f.NotApplicable["record as W&B does"] = "the digest is the URL, which the suite does not know: see the driver's own tests"
	case servers.HTTPNoRange:
		for _, name := range backendtest.Cases() {
			if strings.HasPrefix(name, "fault: range ") {
				f.NotApplicable[name] = "no answer is a range"
			}
		}
	}
	backendtest.Run(t, f)
}

// httpCannot names what a source that lists nothing and keeps no versions has none
// of, and what nginx can't say.
func httpCannot() map[string]string {
	cannot := map[string]string{"put back as it was": "nginx makes the ETag of the time, which does not come back"}
	for _, name := range backendtest.Cases() {
		switch {
		case strings.HasPrefix(name, "odd "):
			cannot[name] = "a URL is percent-coded, its path is no literal key: see the driver's own tests"
		case strings.HasPrefix(name, "list "), strings.Contains(name, " page"), name == "record by prefix as by name", name == "cancelled in the middle of a list":
			cannot[name] = "a web server lists nothing"
		}
	}
	for _, name := range []string{"list one object", "list one object in the depth", "list nothing there", "list no such bucket", "list an object with a trailing slash"} {
		delete(cannot, name)
	}
	for _, name := range []string{"version deleted", "record a named version", "record a version that never was"} {
		cannot[name] = "a web server keeps no versions"
	}
	return cannot
}

func (s *httpSuite) source(t *testing.T) backendtest.Source {
	t.Helper()
	s.mu.Lock()
	s.last = time.Now().Add(-30 * time.Second).Truncate(time.Second)
	s.mu.Unlock()
	p := servers.StartFaultProxy(t, s.server.Endpoint)
	p.Dialect = servers.HTTPErrors
	b, err := httpstore.New(httpstore.Options{NetrcFile: "-"})
	if err != nil {
		t.Fatal(err)
	}
	dir := fmt.Sprintf("conformance%s%d/", strings.TrimSuffix(s.place, "/"), s.cases.Add(1))
	return backendtest.Source{
		Backend: b,
		Root:    p.Endpoint + s.place + strings.TrimSuffix(dir, "/"),
		Missing: p.Endpoint + s.place + "no-such-directory/x",
		Put:     func(key string, data []byte) error { return s.server.Write(dir+key, data, s.later()) },
		Delete:  func(key string) error { return s.server.Remove(dir + key) },
		Faults:  p.Suite(), Quiet: p.Quiet,
	}
}

// later gives a time that no file has yet: nginx sees seconds only.
func (s *httpSuite) later() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.last = s.last.Add(time.Second)
	return s.last
}

// etag is nginx's for the newest file, without its quotes.
func (s *httpSuite) etag(data []byte) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return fmt.Sprintf("%x-%x", s.last.Unix(), len(data))
}
