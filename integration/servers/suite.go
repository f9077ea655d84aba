package servers

import (
	"net/http"
	"net/url"
	"strings"

	"github.com/pinfs/pinfs/backends/backendtest"
)

// Suite is a fault proxy as the suite of drivers wants it.
type Suite struct{ proxy *FaultProxy }

var _ backendtest.Faults = Suite{}

// Suite gives the proxy to the suite of drivers. The dialect has to be set.
func (p *FaultProxy) Suite() Suite { return Suite{p} }

// Break adds a fault.
func (s Suite) Break(f backendtest.Fault) {
	own := Fault{
		Skip: f.Skip, Times: f.Times, Delay: f.Delay, Silent: f.Silent, Reset: f.Reset,
		Status: f.Status, Text: f.Text, Header: f.Header,
		Match: func(r *http.Request) bool { return s.is(f.Op, r.Method, r.URL) },
	}
	if f.Body != nil {
		at := At(f.Body.At)
		switch f.Body.Kind {
		case backendtest.Cut:
			own.Cut = at
		case backendtest.Stall:
			own.Stall = at
		case backendtest.Flip:
			own.Flip = at
		case backendtest.Shorten:
			own.Truncate = at
		case backendtest.Lengthen:
			own.Pad = *at
		}
	}
	s.proxy.Inject(own)
}

// Heal removes all faults.
func (s Suite) Heal() { s.proxy.Heal() }

// Seen counts the requests of op.
func (s Suite) Seen(op backendtest.Op) int {
	return s.proxy.Count(func(method, path string) bool {
		u, err := url.ParseRequestURI(path)
		return err == nil && s.is(op, method, u)
	})
}

func (s Suite) is(op backendtest.Op, method string, u *url.URL) bool {
	return op == backendtest.AnyOp || op == s.proxy.Dialect.op(method, u)
}

// op says what a request is for; what only writes counts as AnyOp.
func (d Dialect) op(method string, u *url.URL) backendtest.Op {
	switch {
	case method == http.MethodHead:
		return backendtest.StatOp
	case method != http.MethodGet:
		return backendtest.AnyOp
	}
	q := u.Query()
	switch d {
	case S3Errors:
		return s3Op(u, q)
	case GCSErrors:
		return gcsOp(u, q)
	case AzureErrors:
		switch q.Get("comp") {
		case "":
			return backendtest.DataOp
		case "list":
			return backendtest.ListOp
		}
		return backendtest.StatOp
	}
	return backendtest.DataOp
}

// s3Op knows paths of the form /bucket/key.
func s3Op(u *url.URL, q url.Values) backendtest.Op {
	_, key, _ := strings.Cut(strings.TrimPrefix(u.Path, "/"), "/")
	switch {
	case key == "":
		return backendtest.ListOp
	case q.Has("attributes"):
		return backendtest.StatOp
	}
	return backendtest.DataOp
}

func gcsOp(u *url.URL, q url.Values) backendtest.Op {
	rest, json := strings.CutPrefix(u.EscapedPath(), "/storage/v1/b/")
	if !json || q.Get("alt") == "media" {
		return backendtest.DataOp
	}
	if _, object, _ := strings.Cut(rest, "/o/"); object == "" {
		return backendtest.ListOp
	}
	return backendtest.StatOp
}
