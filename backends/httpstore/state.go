package httpstore

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/pinfs/pinfs/backends"
	"github.com/pinfs/pinfs/manifest"
)

// state is what a server says of an object.
type state struct {
	etag     string // as sent
	modified string // Last-Modified, as sent
	size     int64  // manifest.SizeUnknown when not told
	sums     []manifest.Sum
}

// stateOf reads an answer that is 200 or 206.
func stateOf(resp *http.Response) state {
	return state{
		etag: strings.TrimSpace(resp.Header.Get("ETag")), modified: resp.Header.Get("Last-Modified"),
		size: total(resp), sums: sumsOf(resp),
	}
}

// total is the size of the object: behind the '/' of Content-Range ("bytes
// 0-9/123"), or the length of an answer that is the whole.
func total(resp *http.Response) int64 {
	if resp.StatusCode != http.StatusPartialContent {
		return max(resp.ContentLength, manifest.SizeUnknown)
	}
	r, ok := parseRange(resp.Header.Get("Content-Range"))
	if !ok {
		return manifest.SizeUnknown
	}
	return r.total
}

// sentRange is a Content-Range: the first and the last byte, and the size of the
// whole or manifest.SizeUnknown.
type sentRange struct{ first, last, total int64 }

// parseRange reads "bytes 0-9/123" or "bytes 0-9/*" (RFC 9110, 14.4).
func parseRange(text string) (r sentRange, ok bool) {
	text, ok = strings.CutPrefix(strings.TrimSpace(text), "bytes ")
	span, size, sized := strings.Cut(text, "/")
	first, last, ranged := strings.Cut(span, "-")
	if !ok || !sized || !ranged {
		return r, false
	}
	var errs [3]error
	r.first, errs[0] = strconv.ParseInt(strings.TrimSpace(first), 10, 64)
	r.last, errs[1] = strconv.ParseInt(strings.TrimSpace(last), 10, 64)
	r.total = manifest.SizeUnknown
	if size = strings.TrimSpace(size); size != "*" {
		r.total, errs[2] = strconv.ParseInt(size, 10, 64)
	}
	sound := errs == [3]error{} && r.first >= 0 && r.last >= r.first && (size == "*" || r.total > r.last)
	return r, sound
}

// info is what is recorded of the object at ref.
func (st state) info(ref string, u *url.URL) backends.Info {
	info := backends.Info{Name: nameOf(u), Single: true, Ref: ref, Digest: ref, Size: st.size, ModTime: st.time(), Sums: st.sums, Extra: map[string]any{}}
	if st.etag != "" {
		info.Digest = unquote(st.etag)
		info.Extra[manifest.ExtraETag] = st.etag
	}
	if (st.etag == "" || weak(st.etag)) && st.modified != "" {
		info.Extra[manifest.ExtraLastModified] = st.modified
	}
	return info
}

// time is zero when the server does not tell.
func (st state) time() time.Time {
	at, err := http.ParseTime(st.modified)
	if err != nil {
		return time.Time{}
	}
	return at
}

// unquote takes the quotes off a strong ETag; a weak one stays, as with W&B.
func unquote(etag string) string {
	if len(etag) >= 2 && etag[0] == '"' && etag[len(etag)-1] == '"' {
		return etag[1 : len(etag)-1]
	}
	return etag
}
