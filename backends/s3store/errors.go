package s3store

import (
	"context"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"

	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"github.com/pinfs/pinfs/backends"
	"github.com/pinfs/pinfs/manifest"
)

const (
	hintKeys   = "give credentials by AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, by a profile (AWS_PROFILE) or a role, or read a public bucket with --s3-anonymous"
	hintRights = "the credentials need s3:GetObject and s3:GetObjectVersion, and s3:ListBucketVersions or s3:ListBucket to list"
	hintRegion = "name the bucket's region with --s3-region or AWS_REGION"
	hintTrust  = "name the authority's certificate in AWS_CA_BUNDLE"
)

var (
	errNoProvider = errors.New("no credentials are configured")
	errDowngrade  = backends.Refuse("the server redirects from https to what is none, which is refused")
)

// reply is a refusal of the server.
type reply struct {
	status int
	code   string // of S3, or made from the status when the answer has no body
	text   string
	header http.Header
}

// replyOf finds the server's refusal in an error of the SDK; false when none came.
func replyOf(err error) (reply, bool) {
	var re *smithyhttp.ResponseError
	if !errors.As(err, &re) || re.Response == nil {
		return reply{}, false
	}
	r := reply{status: re.HTTPStatusCode(), header: re.Response.Header}
	var api smithy.APIError
	if errors.As(err, &api) {
		r.code, r.text = api.ErrorCode(), api.ErrorMessage()
	}
	return r, r.status >= 300
}

// expired tells whether fresh credentials may help.
func (r reply) expired() bool {
	switch r.code {
	case "ExpiredToken", "ExpiredTokenException", "TokenRefreshRequired", "InvalidToken", "RequestExpired", "InvalidAccessKeyId":
		return true
	}
	return r.status == http.StatusUnauthorized
}

// mute tells whether the refusal had no body that says why: one of a HEAD.
func (r reply) mute() bool {
	return r.status == http.StatusBadRequest && r.code == "BadRequest" || r.status == http.StatusForbidden && r.code == "Forbidden"
}

func (r reply) throttled() bool {
	switch r.code {
	case "SlowDown", "Throttling", "ThrottlingException", "RequestLimitExceeded", "TooManyRequests", "BandwidthLimitExceeded":
		return true
	}
	return r.status == http.StatusServiceUnavailable || r.status == http.StatusTooManyRequests
}

// missing tells whether the object, version or bucket does not exist. A delete
// marker asked for by its id is 405; an id in another server's form is 400.
func (r reply) missing() bool {
	switch r.code {
	case "NoSuchKey", "NoSuchVersion", "NoSuchBucket", "NotFound":
		return true
	case "InvalidArgument":
		return strings.Contains(strings.ToLower(r.text), "version id")
	}
	return r.status == http.StatusNotFound || r.status == http.StatusMethodNotAllowed && r.header.Get("X-Amz-Delete-Marker") == "true"
}

// unknown tells whether the server does not implement the request.
func (r reply) unknown() bool {
	return r.code == "NotImplemented" || r.status == http.StatusNotImplemented || r.status == http.StatusMethodNotAllowed
}

// Error says what the server said, in one line.
func (r reply) Error() string {
	text := backends.OneLine(r.text)
	switch {
	case r.code == "" && text == "":
		return "HTTP status " + strconv.Itoa(r.status)
	case text == "" || text == r.code:
		return r.code + " (HTTP status " + strconv.Itoa(r.status) + ")"
	}
	return r.code + ": " + text
}

// failure turns an error of the SDK into a typed one. Missing objects and failed
// preconditions mean different things to different calls: they sort those first.
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
	if keys.had {
		return &manifest.Error{Kind: manifest.KindUnreachable, Op: op, Ref: ref, Msg: "credentials can't be renewed", Err: backends.Brief(keys.err)}
	}
	return &manifest.Error{Kind: manifest.KindDenied, Op: op, Ref: ref, Msg: "no credentials", Hint: hintKeys, Err: backends.Brief(keys.err)}
}

// refusal sorts what the server refused.
func refusal(op, ref string, r reply) error {
	switch {
	case r.throttled():
		return backends.Throttled(op, ref, backends.ParseRetryAfter(r.header), r)
	case r.code == "InvalidObjectState":
		return backends.Denied(op, ref, "the object is archived: restore it first", r)
	case r.expired(), r.code == "SignatureDoesNotMatch":
		return backends.Denied(op, ref, "renew or correct the credentials", r)
	case r.code == "RequestTimeTooSkewed":
		return backends.Denied(op, ref, "set this host's clock", r)
	case r.status == http.StatusMovedPermanently, r.status == http.StatusTemporaryRedirect, r.code == "AuthorizationHeaderMalformed":
		return &manifest.Error{Kind: manifest.KindInvalid, Op: op, Ref: ref, Msg: "the bucket is in another region", Err: r, Hint: hintRegion}
	case r.status == http.StatusForbidden:
		return backends.Denied(op, ref, hintRights, r)
	case r.status >= 500, r.code == "RequestTimeout", r.status == http.StatusRequestTimeout:
		return backends.Unreachable(op, ref, r)
	case r.status == http.StatusNotFound:
		return backends.NoSource(op, ref, r.Error())
	}
	return &manifest.Error{Kind: manifest.KindInvalid, Op: op, Ref: ref, Err: r}
}

// unanswered sorts errors of the way to the server and back.
func unanswered(op, ref string, err error) error {
	var authority x509.UnknownAuthorityError
	e := &manifest.Error{Kind: manifest.KindUnreachable, Op: op, Ref: ref, Err: backends.Brief(err)}
	switch {
	case errors.As(err, &authority):
		e.Hint = hintTrust
	case !onTheWay(err): // never sent: a bucket name that can't be one, say
		e.Kind = manifest.KindInvalid
	}
	return e
}

// onTheWay tells whether a request was sent, or tried to be.
func onTheWay(err error) bool {
	var network net.Error
	var sent *smithyhttp.RequestSendError
	var garbled *smithy.DeserializationError
	var answered *smithyhttp.ResponseError
	return errors.As(err, &network) || errors.As(err, &sent) || errors.As(err, &garbled) || errors.As(err, &answered) ||
		errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF)
}
