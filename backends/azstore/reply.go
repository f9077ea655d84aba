package azstore

import (
	"encoding/xml"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/runtime"

	"github.com/pinfs/pinfs/backends"
)

// maxSkew is how far off a host's clock may be: Azure refuses older signatures.
const maxSkew = 10 * time.Minute

// reply is a refusal of the server.
type reply struct {
	status    int
	code      string // of Azure: the header x-ms-error-code
	text      string
	header    http.Header
	anonymous bool // the request had no credentials
}

// replyOf finds the server's refusal in an error of the SDK; false when none came.
func replyOf(err error) (reply, bool) {
	var re *azcore.ResponseError
	if !errors.As(err, &re) || re.RawResponse == nil {
		return reply{}, false
	}
	r := reply{status: re.StatusCode, code: re.ErrorCode, header: re.RawResponse.Header}
	if body, err := runtime.Payload(re.RawResponse); err == nil {
		r.text = message(body)
	}
	if q := re.RawResponse.Request; q != nil {
		r.anonymous = q.Header.Get("Authorization") == "" && !q.URL.Query().Has("sig")
	}
	return r, true
}

// message gives the words of an error document, without the request's id and time
// that follow them.
func message(body []byte) string {
	var doc struct {
		Message string `xml:"Message"`
	}
	if xml.Unmarshal(body, &doc) != nil {
		return ""
	}
	text, _, _ := strings.Cut(doc.Message, "RequestId:")
	return text
}

// Error says what the server said, in one line.
func (r reply) Error() string {
	text := backends.OneLine(r.text)
	switch {
	case r.code == "" && text == "":
		return "HTTP status " + strconv.Itoa(r.status)
	case text == "" || text == r.code:
		return backends.OneLine(r.code) + " (HTTP status " + strconv.Itoa(r.status) + ")"
	}
	return backends.OneLine(r.code) + ": " + text
}

func (r reply) throttled() bool {
	return r.code == "ServerBusy" || r.code == "TooManyRequests" || r.status == http.StatusServiceUnavailable || r.status == http.StatusTooManyRequests
}

// expired tells whether a fresh token may help.
func (r reply) expired() bool {
	return r.status == http.StatusUnauthorized || r.code == "InvalidAuthenticationInfo"
}

// unproven tells whether the credentials themselves were refused.
func (r reply) unproven() bool {
	return r.expired() || r.code == "AuthenticationFailed" || r.code == "NoAuthenticationInformation"
}

// hidden is how a private container looks to those without credentials.
func (r reply) hidden() bool { return r.anonymous && r.code == "ResourceNotFound" }

// skewed tells whether this host's clock is off by the answer's.
func (r reply) skewed() bool {
	at, err := http.ParseTime(r.header.Get("Date"))
	return err == nil && time.Since(at).Abs() > maxSkew
}

// missing tells whether the blob, version or container does not exist. An id that
// can't be one of a version is 400.
func (r reply) missing(p place) bool {
	switch r.code {
	case "ContainerBeingDeleted", "ContainerDisabled":
		return true
	case "InvalidQueryParameterValue":
		return p.version != "" || p.snapshot != ""
	}
	return r.status == http.StatusNotFound && !r.hidden()
}

// noContainer says that the container is what is missing, "" when it is not.
func (r reply) noContainer() string {
	switch r.code {
	case "ContainerNotFound", "ContainerBeingDeleted", "ContainerDisabled":
		return "no such container"
	}
	return ""
}

// oldEmulator tells whether the server does not know the version of the protocol.
func (r reply) oldEmulator() bool {
	return r.code == "InvalidHeaderValue" && strings.Contains(r.text, "API version")
}
