package httpstore

import (
	"context"
	"crypto/x509"
	"errors"
	"net/http"
	"strconv"

	"github.com/pinfs/pinfs/backends"
	"github.com/pinfs/pinfs/manifest"
)

const (
	hintLogin = "give a login in ~/.netrc (machine HOST login USER password PASSWORD) or a header for this host"
	hintTrust = "name the authority's certificate in SSL_CERT_FILE"
	hintProxy = "give the proxy's login in HTTPS_PROXY or HTTP_PROXY"
)

// status is an answer that refuses.
type status int

func (s status) Error() string {
	text := "HTTP status " + strconv.Itoa(int(s))
	if name := http.StatusText(int(s)); name != "" {
		text += " (" + name + ")"
	}
	return text
}

// failure types what kept a request from its answer, or a body from its end.
func failure(ctx context.Context, op, ref string, err error) error {
	var typed *manifest.Error
	var refused policy
	var ruled *backends.Refusal
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return backends.Ended(ctx, op, ref)
	case errors.As(err, &typed):
		return err
	case errors.As(err, &ruled):
		return ruled.At(op, ref)
	case errors.As(err, &refused):
		return &manifest.Error{Kind: manifest.KindDenied, Op: op, Ref: ref, Err: refused}
	}
	e := &manifest.Error{Kind: manifest.KindUnreachable, Op: op, Ref: ref, Err: brief(err)}
	var authority x509.UnknownAuthorityError
	if errors.As(err, &authority) {
		e.Hint = hintTrust
	}
	return e
}

// missing tells whether a status says that nothing is there.
func missing(code int) bool { return code == http.StatusNotFound || code == http.StatusGone }

// refusal types an answer without the object. What is missing, or fails a
// precondition, is the caller's to sort.
func refusal(op, ref string, resp *http.Response) error {
	code := status(resp.StatusCode)
	switch resp.StatusCode {
	case http.StatusTooManyRequests, http.StatusServiceUnavailable:
		return backends.Throttled(op, ref, backends.ParseRetryAfter(resp.Header), code)
	case http.StatusUnauthorized, http.StatusForbidden:
		return backends.Denied(op, ref, hintLogin, code)
	case http.StatusProxyAuthRequired:
		return backends.Denied(op, ref, hintProxy, code)
	case http.StatusUnavailableForLegalReasons:
		return backends.Denied(op, ref, "", code)
	case http.StatusRequestTimeout, http.StatusTooEarly,
		http.StatusRequestedRangeNotSatisfiable: // to a request without a range
		return backends.Unreachable(op, ref, code)
	case http.StatusNotImplemented, http.StatusHTTPVersionNotSupported:
	default:
		if resp.StatusCode >= 500 {
			return backends.Unreachable(op, ref, code)
		}
	}
	return &manifest.Error{Kind: manifest.KindInvalid, Op: op, Ref: ref, Err: code}
}

// coded is the error of an answer whose bytes are not the object's.
func coded(r request, coding string) error {
	return &manifest.Error{Kind: manifest.KindUnsupported, Op: r.op, Ref: r.ref,
		Msg:  "the server sends the content coded (" + backends.OneLine(coding) + "), though it was asked not to",
		Hint: "let the server send this file as it is"}
}

// terse is an error in fewer words.
type terse struct {
	text string
	err  error
}

func (t *terse) Error() string { return t.text }
func (t *terse) Unwrap() error { return t.err }

// brief is backends.Brief of all but what is brief already.
func brief(err error) error {
	var short *terse
	var cut *broken
	switch {
	case errors.As(err, &cut):
		return cut
	case errors.As(err, &short):
		return short
	}
	return backends.Brief(err)
}

// broken is a body that ended early; left is how many bytes were to come, -1 when
// nobody knows.
type broken struct {
	err  error
	left int64
}

func (b *broken) Error() string {
	if b.left < 0 {
		return "the answer broke off: " + brief(b.err).Error()
	}
	return "the answer broke off " + strconv.FormatInt(b.left, 10) + " bytes before its end: " + brief(b.err).Error()
}

func (b *broken) Unwrap() error { return b.err }
