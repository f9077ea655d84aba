package httpstore

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/url"
	"strings"

	"github.com/pinfs/pinfs/backends"
)

const maxRedirects = 10

// policy is why a request is not sent, though it could be.
type policy string

func (p policy) Error() string { return string(p) }

const (
	errRedirects policy = "the server redirects more than 10 times"
	errDowngrade policy = "the server redirects from https to http, which is refused"
	errElsewhere policy = "the server redirects to what is no web server"
)

// checkRedirect decides about redirects by the rules too.
func checkRedirect(rules *backends.Rules) func(req *http.Request, via []*http.Request) error {
	return func(req *http.Request, via []*http.Request) error {
		if err := follow(req, via); err != nil {
			return err
		}
		return rules.URL(req.URL)
	}
}

// follow decides about one redirect; via are the requests so far. It takes
// the credentials off as soon as the way leaves the origin of the first.
func follow(req *http.Request, via []*http.Request) error {
	trailOf(req).left = true
	last := via[len(via)-1].URL
	switch {
	case len(via) > maxRedirects:
		return errRedirects
	case last.Scheme == "https" && req.URL.Scheme == "http":
		return errDowngrade
	case req.URL.Scheme != "https" && req.URL.Scheme != "http":
		return errElsewhere
	}
	req.Header.Del("Referer")
	for _, u := range append(urls(via[1:]), req.URL) {
		if !sameOrigin(via[0].URL, u) {
			dropSecrets(req.Header)
		}
	}
	return nil
}

func urls(via []*http.Request) (all []*url.URL) {
	for _, r := range via {
		all = append(all, r.URL)
	}
	return all
}

// sameOrigin tells whether what is for a may be given to b: scheme, host and port
// are equal, or b is a over https at the usual ports.
func sameOrigin(a, b *url.URL) bool {
	if !strings.EqualFold(a.Hostname(), b.Hostname()) {
		return false
	}
	upgrade := a.Scheme == "http" && b.Scheme == "https" && port(a) == "80" && port(b) == "443"
	return a.Scheme == b.Scheme && port(a) == port(b) || upgrade
}

func port(u *url.URL) string {
	switch {
	case u.Port() != "":
		return u.Port()
	case u.Scheme == "https":
		return "443"
	}
	return "80"
}

// dropSecrets keeps only what the driver itself has to say.
func dropSecrets(h http.Header) {
	for name := range h {
		switch name {
		case "Accept-Encoding", "User-Agent", "Range", "If-Match", "If-Range", "If-Unmodified-Since":
		default:
			h.Del(name)
		}
	}
}

type trailKey struct{}

// trail notes whether a request was redirected. One goroutine.
type trail struct{ left bool }

func withTrail(ctx context.Context) (context.Context, *trail) {
	t := &trail{}
	return context.WithValue(ctx, trailKey{}, t), t
}

// trailOf gives the trail of a request of ours.
func trailOf(req *http.Request) *trail {
	if t, ok := req.Context().Value(trailKey{}).(*trail); ok {
		return t
	}
	return &trail{}
}

// strip hides from an error where a redirect led: its target may be signed.
func (t *trail) strip(err error) error {
	var refused policy
	var ruled *backends.Refusal
	if !t.left || errors.As(err, &refused) {
		return err
	}
	if errors.As(err, &ruled) {
		return ruled.Behind("the server redirects, and where it leads is not read")
	}
	var op *net.OpError
	var dns *net.DNSError
	switch {
	case errors.As(err, &dns):
		return &terse{"the host that it redirects to does not resolve", err}
	case errors.As(err, &op):
		return &terse{"the server that it redirects to: " + backends.OneLine(op.Err.Error()), err}
	}
	return &terse{"the server that it redirects to does not answer as it should", err}
}
