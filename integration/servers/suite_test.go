package servers_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/pinfs/pinfs/backends/backendtest"
	"github.com/pinfs/pinfs/integration/servers"
)

// TestSuiteOps: a fault for one kind of request hits that kind and no other, in
// each dialect, and all are counted.
func TestSuiteOps(t *testing.T) {
	srv := nginx.Get(t)
	for dialect, requests := range map[servers.Dialect]map[backendtest.Op][]string{
		servers.S3Errors: {
			backendtest.ListOp: {"GET /b?list-type=2&prefix=a", "GET /b/?versions"},
			backendtest.StatOp: {"HEAD /b/k", "GET /b/k?attributes"},
			backendtest.DataOp: {"GET /b/k?versionId=1", "GET /b/k/l"},
		},
		servers.GCSErrors: {
			backendtest.ListOp: {"GET /storage/v1/b/b/o?prefix=a"},
			backendtest.StatOp: {"GET /storage/v1/b/b/o/a%2Fo%2Fb?generation=1", "HEAD /b/k"},
			backendtest.DataOp: {"GET /storage/v1/b/b/o/k?alt=media", "GET /b/k"},
		},
		servers.AzureErrors: {
			backendtest.ListOp: {"GET /a/c?restype=container&comp=list"},
			backendtest.StatOp: {"HEAD /a/c/k", "GET /a/c/k?comp=metadata"},
			backendtest.DataOp: {"GET /a/c/k?versionid=1"},
		},
		servers.HTTPErrors: {
			backendtest.StatOp: {"HEAD /k"},
			backendtest.DataOp: {"GET /k"},
		},
	} {
		p := servers.StartFaultProxy(t, srv.Endpoint)
		p.Dialect = dialect
		s, all := p.Suite(), 0
		for broken := range requests {
			s.Break(backendtest.Fault{Op: broken, Status: 418})
			for op, list := range requests {
				for _, r := range list {
					var method, path string
					if method, path = r[:3], r[4:]; r[0] == 'H' {
						method, path = r[:4], r[5:]
					}
					if got := send(t, method, p.Endpoint+path, nil).status; (got == 418) != (op == broken) {
						t.Errorf("dialect %d, op %d is broken: %s of op %d: %d", dialect, broken, r, op, got)
					}
					all++
				}
			}
			s.Heal()
		}
		for op, list := range requests {
			if got, want := s.Seen(op), len(list)*len(requests); got != want {
				t.Errorf("dialect %d, op %d: %d seen, want %d", dialect, op, got, want)
			}
		}
		if got := s.Seen(backendtest.AnyOp); got != all {
			t.Errorf("dialect %d: %d seen, want %d", dialect, got, all)
		}
	}
}

// TestSuiteFaults: each damage does what the suite means by it.
func TestSuiteFaults(t *testing.T) {
	srv := nginx.Get(t)
	srv.Put(t, "suite/a", []byte("0123456789"), time.Time{})
	p := servers.StartFaultProxy(t, srv.Endpoint)
	p.Dialect = servers.HTTPErrors
	s := p.Suite()
	for name, c := range map[string]struct {
		damage backendtest.Damage
		body   string
		broken bool
	}{
		"cut":      {backendtest.Damage{Kind: backendtest.Cut, At: 4}, "0123", true},
		"flip":     {backendtest.Damage{Kind: backendtest.Flip, At: 1}, "0\xce23456789", false},
		"shorten":  {backendtest.Damage{Kind: backendtest.Shorten, At: 4}, "0123", false},
		"lengthen": {backendtest.Damage{Kind: backendtest.Lengthen, At: 2}, "0123456789\x00\x00", false},
		"past end": {backendtest.Damage{Kind: backendtest.Cut, At: 11}, "0123456789", false},
	} {
		s.Break(backendtest.Fault{Op: backendtest.DataOp, Times: 1, Body: &c.damage})
		if r := request(t, p.Endpoint+"/suite/a", nil); r.status != 200 || r.body != c.body || (r.err != nil) != c.broken {
			t.Errorf("%s: %d, %q, %v", name, r.status, r.body, r.err)
		}
		s.Break(backendtest.Fault{Times: 1, Body: &c.damage})
		if r := request(t, p.Endpoint+"/suite/none", nil); r.status != 404 || r.err != nil || len(r.body) < 100 {
			t.Errorf("%s of a refusal: %d, %q, %v", name, r.status, r.body, r.err)
		}
	}
	s.Break(backendtest.Fault{Status: 403, Text: "because", Header: http.Header{"X-Why": {"so"}}, Times: 1})
	if r := request(t, p.Endpoint+"/suite/a", nil); r.status != 403 || r.header.Get("X-Why") != "so" || r.body != "Forbidden: because\n" {
		t.Errorf("refused: %+v", r)
	}
	s.Break(backendtest.Fault{Reset: true, Times: 1})
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	if resp, err := client.Post(p.Endpoint+"/suite/a", "", nil); err == nil {
		t.Errorf("reset: %s", resp.Status)
	}
}
