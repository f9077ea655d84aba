package servers_test

import (
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/pinfs/pinfs/integration/servers"
)

// TestNginx: each place serves the same file in its own way.
func TestNginx(t *testing.T) {
	srv := nginx.Get(t)
	name, data := "dir/ä +%41#?b", strings.Repeat("0123456789", 1000)
	srv.Put(t, name, []byte(data), time.Time{})
	for _, c := range []struct {
		place          string
		header         http.Header
		status, length int
		etag, modified bool
	}{
		{servers.HTTPPlain, nil, 200, 10_000, true, true},
		{servers.HTTPPlain, http.Header{"Range": {"bytes=5-9"}}, 206, 5, true, true},
		{servers.HTTPNoETag, http.Header{"Range": {"bytes=5-9"}}, 206, 5, false, true},
		{servers.HTTPUnpinned, nil, 200, 10_000, false, false},
		{servers.HTTPNoRange, http.Header{"Range": {"bytes=5-9"}}, 200, 10_000, true, true},
		{servers.HTTPNoHead, nil, 200, 10_000, true, true},
		{servers.HTTPAuth, nil, 401, 0, false, false},
		{servers.HTTPAuth, http.Header{"Authorization": {"Basic dXNlcjpwYXNz"}}, 200, 10_000, true, true},
	} {
		r := request(t, srv.URL(c.place, name), c.header)
		etag, modified := r.header.Get("ETag"), r.header.Get("Last-Modified")
		if r.status != c.status || c.length > 0 && len(r.body) != c.length || (etag != "") != c.etag || (modified != "") != c.modified {
			t.Errorf("%s %v: %d, %d bytes, ETag %q, modified %q", c.place, c.header, r.status, len(r.body), etag, modified)
		}
	}
	if r := send(t, http.MethodHead, srv.URL(servers.HTTPNoHead, name), nil); r.status != 405 {
		t.Errorf("HEAD: %d", r.status)
	}
	r := request(t, srv.URL(servers.HTTPGzip, name), http.Header{"Accept-Encoding": {"gzip"}})
	if !strings.HasPrefix(r.header.Get("ETag"), "W/") || r.header.Get("Content-Encoding") != "gzip" || len(r.body) > 1000 {
		t.Errorf("gzip: %v, %d bytes", r.header, len(r.body))
	}
	for place, want := range map[string]string{
		servers.HTTPRedirect: "302 /dir/", servers.HTTPMoved: "301 /dir/", servers.HTTPLoop: "302 /loop/dir/",
	} {
		r := request(t, srv.URL(place, name), nil)
		status, prefix, _ := strings.Cut(want, " ")
		if strconv.Itoa(r.status) != status || !strings.HasPrefix(r.header.Get("Location"), prefix) {
			t.Errorf("%s: %d to %q, want %s", place, r.status, r.header.Get("Location"), want)
		}
	}
	if r := request(t, srv.Endpoint+request(t, srv.URL(servers.HTTPRedirect, name), nil).header.Get("Location"), nil); r.body != data {
		t.Errorf("redirected: %d, %d bytes", r.status, len(r.body))
	}
	if r := request(t, srv.RedirectTo("http://127.0.0.1:1/x"), nil); r.status != 302 || r.header.Get("Location") != "http://127.0.0.1:1/x" {
		t.Errorf("redirect to elsewhere: %d to %q", r.status, r.header.Get("Location"))
	}
}

// TestNginxETag: a file that is replaced has another ETag, unless its size and
// time are the same.
func TestNginxETag(t *testing.T) {
	srv := nginx.Get(t)
	then := time.Now().Add(-time.Hour)
	etag := func(data string, mtime time.Time) string {
		srv.Put(t, "a", []byte(data), mtime)
		return request(t, srv.URL(servers.HTTPPlain, "a"), nil).header.Get("ETag")
	}
	one, same, longer, later := etag("one", then), etag("two", then), etag("three", then), etag("one", then.Add(2*time.Second))
	if one == "" || one != same || one == longer || one == later {
		t.Errorf("ETags %s, %s, %s, %s", one, same, longer, later)
	}
	h := http.Header{"If-Match": {one}, "Range": {"bytes=0-0"}}
	if r := request(t, srv.URL(servers.HTTPPlain, "a"), h); r.status != 412 {
		t.Errorf("old ETag with a range: %d", r.status)
	}
	srv.Delete(t, "a")
	if r := request(t, srv.URL(servers.HTTPPlain, "a"), nil); r.status != 404 {
		t.Errorf("deleted: %d", r.status)
	}
}
