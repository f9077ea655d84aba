package s3store

import (
	"net"
	"net/http"
	"net/url"
	"strings"
)

// pathStyle tells whether the bucket goes into the path.
func pathStyle(o Options, endpoint *string) bool {
	if o.PathStyle != nil {
		return *o.PathStyle
	}
	if endpoint == nil {
		return false // the SDK still does it for bucket names with dots
	}
	u, err := url.Parse(*endpoint)
	return err != nil || !hostStyle(u.Hostname())
}

// rule puts o.Rules in front of the connections for objects. Those for credentials are
// made by another transport, and may go to a machine's metadata.
func (s *Store) rule(o Options, endpoint *string) {
	if t, ok := s.http.Transport.(*http.Transport); ok && o.Transport == nil {
		t.DialContext = o.Rules.Dial(net.Dialer{Timeout: dialTimeout, KeepAlive: keepAlive}, serverOf(endpoint))
	}
	follow := s.http.CheckRedirect
	s.http.CheckRedirect = func(r *http.Request, via []*http.Request) error {
		if err := follow(r, via); err != nil {
			return err
		}
		if r.URL.Scheme != "https" && r.URL.Scheme != via[len(via)-1].URL.Scheme {
			return errDowngrade
		}
		return o.Rules.Own().URL(r.URL)
	}
}

// serverOf gives the "host:port" of an endpoint; "" for Amazon's.
func serverOf(endpoint *string) string {
	if endpoint == nil {
		return ""
	}
	u, err := url.Parse(*endpoint)
	if err != nil {
		return ""
	}
	return net.JoinHostPort(authority{u.Scheme, u.Host}.host())
}

// hostStyle tells whether a custom endpoint wants the bucket in the host name:
// Amazon's own (of a VPC, FIPS, dual stack), and the object stores that answer
// no other style. W&B treats CoreWeave's the same way.
func hostStyle(host string) bool {
	for _, domain := range []string{"amazonaws.com", "amazonaws.com.cn", "cwobject.com", "cwlota.com", "aliyuncs.com", "myqcloud.com"} {
		if host == domain || strings.HasSuffix(host, "."+domain) {
			return true
		}
	}
	return false
}
