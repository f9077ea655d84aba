package gcsstore

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"google.golang.org/api/googleapi"

	"github.com/pinfs/pinfs/backends"
	"github.com/pinfs/pinfs/manifest"
)

const (
	hintKeys  = "give credentials by GOOGLE_APPLICATION_CREDENTIALS, by 'gcloud auth application-default login' or by the machine's service account, or read a public bucket with --gs-anonymous"
	hintRead  = "the credentials need storage.objects.get; without storage.objects.list objects that do not exist are refused too"
	hintList  = "the credentials need storage.objects.list and storage.objects.get"
	hintRenew = "renew the credentials, with 'gcloud auth application-default login' if they are a person's"
	hintPayer = "the bucket's readers pay: name a project with --gs-user-project"
	hintTrust = "name the authority's certificate in SSL_CERT_FILE"
)

// reply is a refusal of the server.
type reply struct {
	status int
	reason string // of the JSON API; "" when the answer does not tell
	text   string
	header http.Header
}

// replyOf finds the server's refusal in an error of the client; false when none
// came. Refused contents are answered in JSON or in plain text.
func replyOf(err error) (reply, bool) {
	var ge *googleapi.Error
	if !errors.As(err, &ge) {
		return reply{}, false
	}
	r := reply{status: ge.Code, text: ge.Message, header: ge.Header}
	items := ge.Errors
	if r.text == "" {
		var answer struct {
			Error struct {
				Message string                `json:"message"`
				Errors  []googleapi.ErrorItem `json:"errors"`
			} `json:"error"`
		}
		if json.Unmarshal([]byte(ge.Body), &answer) == nil {
			r.text, items = answer.Error.Message, answer.Error.Errors
		} else if !strings.HasPrefix(strings.TrimSpace(ge.Body), "<") {
			r.text = ge.Body
		}
	}
	if len(items) > 0 {
		r.reason = items[0].Reason
	}
	return r, true
}

// throttled: a quota of requests is 403 in some of Google's APIs.
func (r reply) throttled() bool {
	switch r.reason {
	case "rateLimitExceeded", "userRateLimitExceeded":
		return true
	}
	return r.status == http.StatusTooManyRequests || r.status == http.StatusServiceUnavailable
}

// Error says what the server said, in one line.
func (r reply) Error() string {
	text := backends.OneLine(r.text)
	switch {
	case r.reason == "" && text == "":
		return "HTTP status " + strconv.Itoa(r.status)
	case text == "":
		return r.reason + " (HTTP status " + strconv.Itoa(r.status) + ")"
	case r.reason == "":
		return text + " (HTTP status " + strconv.Itoa(r.status) + ")"
	}
	return r.reason + ": " + text
}

// failure turns an error of the client into a typed one. Missing objects mean
// different things to different calls: they sort those first.
func failure(ctx context.Context, op, ref string, err error) error {
	return backends.Sorted(ctx, op, ref, err, sorted)
}

func sorted(op, ref string, err error) error {
	var keys *noKeys
	if errors.As(err, &keys) {
		return withoutKeys(op, ref, keys)
	}
	if r, refused := replyOf(err); refused {
		return refusal(op, ref, r)
	}
	return unanswered(op, ref, err)
}

func withoutKeys(op, ref string, keys *noKeys) error {
	return &manifest.Error{Kind: keys.kind, Op: op, Ref: ref, Msg: keys.msg, Err: keys.err, Hint: keys.hint}
}

// refusal sorts what the server refused.
func refusal(op, ref string, r reply) error {
	switch {
	case r.throttled():
		return backends.Throttled(op, ref, backends.ParseRetryAfter(r.header), r)
	case r.status == http.StatusUnauthorized && strings.Contains(r.text, "nonymous"):
		return backends.Denied(op, ref, hintKeys, r)
	case r.status == http.StatusUnauthorized:
		return backends.Denied(op, ref, hintRenew, r)
	case r.status == http.StatusBadRequest && strings.Contains(r.text, "requester pays"):
		return backends.Denied(op, ref, hintPayer, r)
	case r.status == http.StatusForbidden && op == "list":
		return backends.Denied(op, ref, hintList, r)
	case r.status == http.StatusForbidden:
		return backends.Denied(op, ref, hintRead, r)
	case r.status >= 500, r.status == http.StatusRequestTimeout:
		return backends.Unreachable(op, ref, r)
	case r.status == http.StatusNotFound:
		return backends.NoSource(op, ref, r.Error())
	}
	return &manifest.Error{Kind: manifest.KindInvalid, Op: op, Ref: ref, Err: r}
}

// unanswered sorts errors of the way to the server and back.
func unanswered(op, ref string, err error) error {
	var authority x509.UnknownAuthorityError
	var u *url.Error
	e := &manifest.Error{Kind: manifest.KindUnreachable, Op: op, Ref: ref, Err: backends.Brief(err)}
	switch {
	case errors.As(err, &authority):
		e.Hint = hintTrust
	case errors.As(err, &u) && u.Op == "parse": // never sent
		e.Kind = manifest.KindInvalid
	}
	return e
}
