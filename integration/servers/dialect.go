package servers

import (
	"cmp"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Dialect is how a service words its refusals and what it asks for in a request.
// Its methods that give a Fault give the usual ones.
type Dialect int

// The dialects; a FaultProxy speaks S3's when nobody says otherwise.
const (
	S3Errors    Dialect = iota // XML
	GCSErrors                  // JSON; XML where reads are XML
	AzureErrors                // XML, and a header
	HTTPErrors                 // plain text
)

// codes gives the dialect's words for refusals.
func (d Dialect) codes() map[int]string {
	switch d {
	case GCSErrors:
		return map[int]string{
			400: "invalid", 401: "authError", 403: "forbidden", 404: "notFound", 412: "conditionNotMet",
			416: "requestedRangeNotSatisfiable", 429: "rateLimitExceeded", 500: "internalError", 503: "backendError",
		}
	case AzureErrors:
		return map[int]string{
			400: "InvalidInput", 401: "InvalidAuthenticationInfo", 403: "AuthorizationFailure", 404: "BlobNotFound",
			412: "ConditionNotMet", 416: "InvalidRange", 429: "TooManyRequests", 500: "InternalError", 503: "ServerBusy",
		}
	case S3Errors:
		return map[int]string{
			400: "InvalidRequest", 401: "InvalidToken", 403: "AccessDenied", 404: "NoSuchKey",
			412: "PreconditionFailed", 416: "InvalidRange", 429: "TooManyRequests", 500: "InternalError", 503: "SlowDown",
		}
	}
	return nil
}

// Denied is 403.
func (d Dialect) Denied() Fault { return Fault{Status: http.StatusForbidden} }

// Throttled is 429 with the wish to come back later, in whole seconds; 0 is none.
func (d Dialect) Throttled(after time.Duration) Fault {
	return Fault{Status: http.StatusTooManyRequests, Header: retryAfter(after)}
}

// Busy is 503 with the same wish.
func (d Dialect) Busy(after time.Duration) Fault {
	return Fault{Status: http.StatusServiceUnavailable, Header: retryAfter(after)}
}

// Broken is 500.
func (d Dialect) Broken() Fault { return Fault{Status: http.StatusInternalServerError} }

func retryAfter(d time.Duration) http.Header {
	if d <= 0 {
		return nil
	}
	return http.Header{"Retry-After": {strconv.Itoa(int(d / time.Second))}}
}

// refuse answers with f's status.
func (d Dialect) refuse(w http.ResponseWriter, r *http.Request, f *Fault) {
	if d == GCSErrors && !gcsJSON(r.URL.Path) {
		d = S3Errors // GCS's XML is S3's
	}
	code := cmp.Or(f.Code, d.codes()[f.Status], http.StatusText(f.Status))
	kind, body := d.body(f.Status, code, cmp.Or(f.Text, "injected"))
	w.Header().Set("Content-Type", kind)
	if d == AzureErrors {
		w.Header().Set("X-Ms-Error-Code", code)
	}
	f.setHeader(w.Header())
	w.WriteHeader(f.Status)
	if r.Method != http.MethodHead {
		_, _ = w.Write([]byte(body))
	}
}

func (d Dialect) body(status int, code, text string) (kind, body string) {
	switch d {
	case GCSErrors:
		message, _ := json.Marshal(text) // a string
		return "application/json; charset=UTF-8", fmt.Sprintf(
			`{"error":{"code":%d,"message":%s,"errors":[{"domain":"global","reason":%q,"message":%s}]}}`, status, message, code, message)
	case S3Errors, AzureErrors:
		var message strings.Builder
		_ = xml.EscapeText(&message, []byte(text)) // to memory
		return "application/xml", fmt.Sprintf("<?xml version=\"1.0\"?>\n<Error><Code>%s</Code><Message>%s</Message></Error>", code, &message)
	}
	return "text/plain", code + ": " + text + "\n"
}

func gcsJSON(path string) bool {
	for _, prefix := range []string{"/storage/", "/download/", "/upload/", "/batch/"} {
		if strings.HasPrefix(path, prefix) {
			return true
		}
	}
	return false
}

// ReadsOf picks the GETs of a path that contains part, for Fault.Match. An escaped
// path is looked at, and the query is not.
func ReadsOf(part string) func(*http.Request) bool {
	return func(r *http.Request) bool {
		return r.Method == http.MethodGet && strings.Contains(r.URL.EscapedPath(), part)
	}
}
