package s3store

import (
	"cmp"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/aws/smithy-go/encoding/httpbinding"
)

// template is how the SDK asks for the objects of one bucket: what it sent once, so
// that the next requests are the same but for the key. The SDK takes five times as
// long to make one as it takes to send and sign it.
type template struct {
	scheme, host    string
	sent            string // as host, in the header
	direct          bool   // asked on wires, in bytes that are made here
	path            string // before the key, escaped and as it is
	plain           string
	header          http.Header
	signed          bool
	region, service string
	good            atomic.Bool // a request that was made from it was not refused
}

// templates are those of the buckets in use. A nil one is of a bucket that only the
// SDK can ask.
type templates struct {
	mu sync.Mutex
	of map[bucketAt]*template // guarded by mu
}

type bucketAt struct{ bucket, region string }

// maxTemplates bounds them; past it they are learnt again.
const maxTemplates = 256

func (t *templates) get(at bucketAt) (one *template, known bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	one, known = t.of[at]
	return one, known
}

func (t *templates) put(at bucketAt, one *template) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.of == nil || len(t.of) >= maxTemplates {
		t.of = map[bucketAt]*template{}
	}
	t.of[at] = one
}

// newTemplate takes r, a GET of key that the SDK made, apart; nil when it can't be
// made again for other keys: it goes to S3 Express, or is signed for many regions.
func newTemplate(r *http.Request, key string) *template {
	escaped := httpbinding.EscapePath(key, false)
	path, ok := strings.CutSuffix(r.URL.EscapedPath(), escaped)
	plain, err := url.PathUnescape(path)
	if !ok || err != nil || r.URL.Opaque != "" || r.Header.Get("X-Amz-S3session-Token") != "" || !plainKey(key) {
		return nil
	}
	t := &template{scheme: r.URL.Scheme, host: r.URL.Host, sent: cmp.Or(r.Host, r.URL.Host), path: path, plain: plain, header: http.Header{}}
	if t.signed = r.Header.Get("Authorization") != ""; t.signed && !t.scope(r.Header.Get("Authorization")) {
		return nil
	}
	for _, name := range []string{"Accept-Encoding", "User-Agent", "X-Amz-Content-Sha256", "X-Amz-Request-Payer"} {
		if v := r.Header.Values(name); len(v) > 0 {
			t.header[name] = v
		}
	}
	t.direct = t.ascii()
	return t
}

// ascii tells whether the template is nothing but ASCII, which nobody writes in
// another way than it is.
func (t *template) ascii() bool {
	for name, v := range t.header {
		if value := strings.Join(v, ""); len(v) > 1 || name != "User-Agent" && !visible(value) || !visible(strings.ReplaceAll(value, " ", "")) {
			return false
		}
	}
	return t.header.Get("User-Agent") != "" && t.header.Get("X-Amz-Content-Sha256") != "" && visible(t.path) && plainHost(t.sent)
}

// plainHost tells whether host is sent as it is: not in other letters, nor with a zone.
func plainHost(host string) bool {
	return strings.Trim(strings.ToLower(host), "abcdefghijklmnopqrstuvwxyz0123456789.-_:[]") == ""
}

// scope reads region and service from an Authorization of version 4.
func (t *template) scope(authorization string) bool {
	rest, ok := strings.CutPrefix(authorization, "AWS4-HMAC-SHA256 Credential=")
	credential, _, _ := strings.Cut(rest, ",")
	parts := strings.Split(credential, "/")
	if !ok || len(parts) < 5 || parts[len(parts)-1] != "aws4_request" {
		return false
	}
	t.region, t.service = parts[len(parts)-3], parts[len(parts)-2]
	return true
}

// plainKey tells whether key can't be taken for a path that is to be cleaned.
func plainKey(key string) bool {
	return !strings.HasPrefix(key, "/") && !strings.Contains(key, "//") && !strings.Contains("/"+key+"/", "/./") && !strings.Contains("/"+key+"/", "/../")
}

// request makes a GET of key.
func (t *template) request(key, version string) *http.Request {
	query := "x-id=GetObject"
	if version != "" {
		query = "versionId=" + url.QueryEscape(version) + "&" + query
	}
	u := &url.URL{Scheme: t.scheme, Host: t.host, Path: t.plain + key, RawPath: t.path + httpbinding.EscapePath(key, false), RawQuery: query}
	header := make(http.Header, len(t.header)+8)
	for name, v := range t.header {
		header[name] = v
	}
	return &http.Request{Method: http.MethodGet, URL: u, Host: t.host, Header: header, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1}
}
