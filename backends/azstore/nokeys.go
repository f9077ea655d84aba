package azstore

import (
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"strings"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/runtime"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"

	"github.com/pinfs/pinfs/backends"
	"github.com/pinfs/pinfs/manifest"
)

var (
	errNoToken = errors.New("no answer in time from those who give tokens")
	errPlain   = errors.New("the endpoint is plain http, over which no token is sent")
)

// noKeys is the error of a request that had no credentials to go with.
type noKeys struct {
	err error
	had bool // there were credentials before: whoever gives them may be down
}

func (n *noKeys) Error() string { return n.err.Error() }
func (n *noKeys) Unwrap() error { return n.err }

// later tells whether the same search may find credentials another time: nobody
// answered, or who did is in trouble. The SDK keeps only the words of an error of
// the network, under an error without an answer.
func (n *noKeys) later() bool {
	var network net.Error
	if n.had || errors.Is(n.err, errNoToken) || errors.As(n.err, &network) {
		return true
	}
	var failed *azidentity.AuthenticationFailedError
	if !errors.As(n.err, &failed) {
		return false
	}
	r := failed.RawResponse
	return r == nil || r.StatusCode >= http.StatusInternalServerError || r.StatusCode == http.StatusTooManyRequests
}

// why says in one line what went wrong: in the words of the authority if it
// answered, without its numbers for those who run it.
func (n *noKeys) why() error {
	var failed *azidentity.AuthenticationFailedError
	if !errors.As(n.err, &failed) || failed.RawResponse == nil {
		return backends.Brief(n.err)
	}
	var said struct {
		Description string `json:"error_description"`
	}
	body, err := runtime.Payload(failed.RawResponse)
	if err != nil || json.Unmarshal(body, &said) != nil || said.Description == "" {
		return backends.Brief(n.err)
	}
	text, _, _ := strings.Cut(said.Description, "Trace ID:")
	return backends.Brief(errors.New(text))
}

func withoutKeys(op, ref string, keys *noKeys) error {
	if keys.later() {
		return &manifest.Error{Kind: manifest.KindUnreachable, Op: op, Ref: ref, Msg: "no token can be had", Err: keys.why()}
	}
	return &manifest.Error{Kind: manifest.KindDenied, Op: op, Ref: ref, Msg: "no credentials", Hint: hintKeys, Err: keys.why()}
}
