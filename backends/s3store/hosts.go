package s3store

import (
	"net"
	"net/http"
	"net/url"
	"strings"

	"github.com/pinfs/pinfs/backends"
)

// errStray: the SDK takes some names of buckets for access points, which are at
// Amazon, whatever the endpoint is.
var errStray = backends.Refuse("a bucket of that name is not asked for at the endpoint, but elsewhere")

// hosts is an HTTP client that asks the endpoint and what is below it alone. Buckets
// are named by manifests; the endpoint is the user's.
type hosts struct {
	http *http.Client
	own  *url.URL // nil: Amazon's, where the SDK decides
}

// newHosts puts o.Rules in front of the connections for objects. Those for credentials
// are made by another transport, and may go to a machine's metadata.
func newHosts(client *http.Client, o Options, endpoint *string) hosts {
	h := hosts{http: client}
	if endpoint != nil {
		h.own, _ = url.Parse(*endpoint) // the SDK says what is wrong with it
	}
	if t, ok := client.Transport.(*http.Transport); ok && o.Transport == nil {
		t.DialContext = o.Rules.Dial(net.Dialer{Timeout: dialTimeout, KeepAlive: keepAlive}, h.address())
	}
	follow := client.CheckRedirect
	client.CheckRedirect = func(r *http.Request, via []*http.Request) error {
		if err := follow(r, via); err != nil {
			return err
		}
		if r.URL.Scheme != "https" && r.URL.Scheme != via[len(via)-1].URL.Scheme {
			return errDowngrade
		}
		return o.Rules.Own().URL(r.URL)
	}
	return h
}

// address gives the "host:port" of the endpoint; "" for Amazon's.
func (h hosts) address() string {
	if h.own == nil {
		return ""
	}
	return net.JoinHostPort(authority{h.own.Scheme, h.own.Host}.host())
}

// check is errStray for a request that goes elsewhere.
func (h hosts) check(r *http.Request) error {
	if h.own == nil || r.URL.Scheme == h.own.Scheme && below(r.URL.Host, h.own.Host) {
		return nil
	}
	return errStray
}

func below(host, top string) bool {
	host, top = strings.ToLower(host), strings.ToLower(top)
	return host == top || strings.HasSuffix(host, "."+top)
}

// Do sends r, which the SDK made.
func (h hosts) Do(r *http.Request) (*http.Response, error) {
	if err := h.check(r); err != nil {
		return nil, err
	}
	return h.http.Do(r)
}
