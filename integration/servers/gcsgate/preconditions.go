package gcsgate

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
)

// meta is what the preconditions of a read are compared with.
type meta struct {
	generation, metageneration string
	etag, xmlETag              string
}

// meta asks the server for an object; generation "" is the current one.
func (g *Gate) meta(ctx context.Context, t target, generation string) (*meta, error) {
	u := g.upstream.String() + "/storage/v1/b/" + t.bucket + "/o/" + url.PathEscape(t.object)
	if generation != "" {
		u += "?generation=" + url.QueryEscape(generation)
	}
	body, err := g.get(ctx, u)
	if err != nil {
		return nil, err
	}
	var doc fields
	if err := json.Unmarshal(body, &doc); err != nil {
		return nil, err
	}
	hash := doc.text("md5Hash")
	doc.amend()
	m := &meta{generation: doc.text("generation"), metageneration: doc.text("metageneration"), etag: doc.text("etag")}
	if m.xmlETag = hexMD5(hash); doc["md5Hash"] == nil {
		m.xmlETag = m.etag
	}
	return m, nil
}

func (g *Gate) get(ctx context.Context, u string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u, nil)
	if err != nil {
		return nil, err
	}
	resp, err := g.transport.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = &statusError{resp.StatusCode, body}
	}
	return body, err
}

// statusError is an answer of the server that is not what was hoped for.
type statusError struct {
	status int
	body   []byte
}

func (e *statusError) Error() string { return fmt.Sprintf("status %d", e.status) }

// conditions are the names that a precondition has as a parameter and as a header.
var conditions = [...]struct{ param, header string }{
	{"ifGenerationMatch", "X-Goog-If-Generation-Match"},
	{"ifMetagenerationMatch", "X-Goog-If-Metageneration-Match"},
	{"ifGenerationNotMatch", "X-Goog-If-Generation-Not-Match"},
	{"ifMetagenerationNotMatch", "X-Goog-If-Metageneration-Not-Match"},
	{"", "If-Match"},
	{"", "If-None-Match"},
}

// given gives the value of condition i, "" when the request doesn't have it.
func given(r *http.Request, i int) string {
	if c := conditions[i]; c.param != "" {
		if v := r.URL.Query().Get(c.param); v != "" {
			return v
		}
	}
	return r.Header.Get(conditions[i].header)
}

func conditional(r *http.Request) bool {
	for i := range conditions {
		if given(r, i) != "" {
			return true
		}
	}
	return false
}

// verdict gives 0 when the read may go on, else the status that refuses it.
func verdict(r *http.Request, m *meta, xml bool) int {
	etag := m.etag
	if xml {
		etag = m.xmlETag
	}
	for i, have := range []string{m.generation, m.metageneration} {
		if v := given(r, i); v != "" && v != have {
			return http.StatusPreconditionFailed
		}
		if v := given(r, i+2); v != "" && v == have {
			return http.StatusNotModified
		}
	}
	if v := given(r, 4); v != "" && !lists(v, etag) {
		return http.StatusPreconditionFailed
	}
	if v := given(r, 5); v != "" && lists(v, etag) {
		return http.StatusNotModified
	}
	return 0
}

// lists says whether a header's list of ETags has this one.
func lists(header, etag string) bool {
	for e := range strings.SplitSeq(header, ",") {
		if e = strings.TrimSpace(e); e == "*" || strings.Trim(e, `"`) == etag {
			return true
		}
	}
	return false
}

func refuse(w http.ResponseWriter, status int) {
	w.Header().Set("Content-Type", "application/json; charset=UTF-8")
	w.WriteHeader(status)
	if status == http.StatusPreconditionFailed {
		_, _ = io.WriteString(w, `{"error":{"code":412,"message":"At least one of the pre-conditions you specified did not hold.",`+
			`"errors":[{"domain":"global","reason":"conditionNotMet","message":"At least one of the pre-conditions you specified did not hold."}]}}`)
	}
}
