package servers_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/pinfs/pinfs/integration/servers"
)

// TestFaultsOfHTTP: each fault does what it says, once, to whom it is for.
func TestFaultsOfHTTP(t *testing.T) {
	srv := nginx.Get(t)
	data := strings.Repeat("0123456789", 1000)
	srv.Put(t, "faults/a", []byte(data), time.Time{})
	srv.Put(t, "faults/b", []byte(data), time.Time{})
	p := servers.StartFaultProxy(t, srv.Endpoint)
	p.Dialect = servers.HTTPErrors
	a, part := p.Endpoint+"/faults/a", http.Header{"Range": {"bytes=100-199"}}
	for name, c := range map[string]struct {
		fault  servers.Fault
		status int
		length int
		ranged string // Content-Range
		broken bool   // the body ends early
		retry  string // Retry-After
	}{
		"denied":          {p.Dialect.Denied(), 403, 20, "", false, ""},
		"throttled":       {p.Dialect.Throttled(2 * time.Second), 429, 28, "", false, "2"},
		"busy":            {p.Dialect.Busy(time.Second), 503, 30, "", false, "1"},
		"broken":          {p.Dialect.Broken(), 500, 32, "", false, ""},
		"cut":             {servers.Fault{Cut: servers.At(50)}, 206, 50, "bytes 100-199/10000", true, ""},
		"cut to nothing":  {servers.Fault{Cut: servers.At(0)}, 206, 0, "bytes 100-199/10000", true, ""},
		"short":           {servers.Fault{Short: 10}, 206, 90, "bytes 100-189/10000", false, ""},
		"wrong offset":    {servers.Fault{Shift: 10}, 206, 100, "bytes 110-209/10000", false, ""},
		"wrong total":     {servers.Fault{Total: -1}, 206, 100, "bytes 100-199/9999", false, ""},
		"truncated":       {servers.Fault{Truncate: servers.At(40)}, 206, 40, "bytes 100-199/10000", false, ""},
		"padded":          {servers.Fault{Pad: 5}, 206, 105, "bytes 100-199/10000", false, ""},
		"cut at its end":  {servers.Fault{Cut: servers.At(100)}, 206, 100, "bytes 100-199/10000", false, ""},
		"stall past end":  {servers.Fault{Stall: servers.At(101)}, 206, 100, "bytes 100-199/10000", false, ""},
		"without a field": {servers.Fault{Header: http.Header{"Content-Range": nil}}, 206, 100, "", false, ""},
		"all of it":       {servers.Fault{Whole: true}, 200, 10_000, "", false, ""},
		"whole and short": {servers.Fault{Whole: true, Short: 1}, 200, 9_999, "", false, ""},
		"late":            {servers.Fault{Delay: time.Millisecond}, 206, 100, "bytes 100-199/10000", false, ""},
		"slow":            {servers.Fault{Rate: 1000}, 206, 100, "bytes 100-199/10000", false, ""},
		"slow and cut":    {servers.Fault{Rate: 1000, Cut: servers.At(60)}, 206, 60, "bytes 100-199/10000", true, ""},
	} {
		c.fault.Match, c.fault.Times = servers.ReadsOf("/faults/a"), 1
		p.Inject(c.fault)
		if r := request(t, p.Endpoint+"/faults/b", part); r.status != 206 || len(r.body) != 100 || r.err != nil {
			t.Errorf("%s: the other file: %d, %d bytes, %v", name, r.status, len(r.body), r.err)
		}
		r := request(t, a, part)
		if r.status != c.status || len(r.body) != c.length || (r.err != nil) != c.broken ||
			r.header.Get("Content-Range") != c.ranged || r.header.Get("Retry-After") != c.retry {
			t.Errorf("%s: %d, %d bytes, %v, %v", name, r.status, len(r.body), r.err, r.header)
		}
		if r := request(t, a, part); r.status != 206 || len(r.body) != 100 || r.err != nil {
			t.Errorf("%s, afterwards: %d, %d bytes, %v", name, r.status, len(r.body), r.err)
		}
	}
}

// TestFaultsSilence: no answer at all, until the client goes.
func TestFaultsSilence(t *testing.T) {
	srv := nginx.Get(t)
	srv.Put(t, "silence/a", []byte("x"), time.Time{})
	p := servers.StartFaultProxy(t, srv.Endpoint)
	p.Inject(servers.Fault{Silent: true, Times: 1})
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, p.Endpoint+"/silence/a", nil)
	if err != nil {
		t.Fatal(err)
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	if resp, err := client.Do(req); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("silence answered: %v, %v", resp, err)
	}
	if r := request(t, p.Endpoint+"/silence/a", nil); r.body != "x" {
		t.Errorf("afterwards: %+v", r)
	}
}

// TestDialects: a refusal looks as the service's own, and a proxy keeps the path
// of what is behind.
func TestDialects(t *testing.T) {
	for endpoint, c := range map[string]struct {
		dialect servers.Dialect
		body    string
		code    string
	}{
		azure.Get(t).Endpoint:            {servers.AzureErrors, "<Code>AuthorizationFailure</Code>", "AuthorizationFailure"},
		gcs.Get(t).Endpoint + "/storage": {servers.GCSErrors, `"reason":"forbidden"`, ""},
		gcs.Get(t).Endpoint:              {servers.GCSErrors, "<Code>AccessDenied</Code>", ""},
		s3s.Get(t).Endpoint:              {servers.S3Errors, "<Code>AccessDenied</Code>", ""},
	} {
		p := servers.StartFaultProxy(t, endpoint)
		p.Dialect = c.dialect
		p.Inject(p.Dialect.Denied())
		r := request(t, p.Endpoint+"/none/a", nil)
		if r.status != 403 || !strings.Contains(r.body, c.body) || r.header.Get("X-Ms-Error-Code") != c.code {
			t.Errorf("%s: %d %v %s", endpoint, r.status, r.header, r.body)
		}
	}
	srv := azure.Get(t)
	place := fresh("dialects")
	srv.CreateContainer(t, place, true)
	srv.Put(t, place, "a", []byte("x"))
	p := servers.StartFaultProxy(t, srv.Endpoint)
	if r := request(t, p.Endpoint+"/"+place+"/a", nil); r.body != "x" {
		t.Errorf("through a proxy: %+v", r)
	}
}
