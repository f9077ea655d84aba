package httpstore

import (
	"net/http"
	"time"

	"github.com/pinfs/pinfs/backends"
)

// DefaultMaxConns is how many idle connections are kept when Options don't say.
const DefaultMaxConns = 32

// Options say how to reach web servers. The zero value reads ~/.netrc and follows
// HTTP_PROXY, HTTPS_PROXY and NO_PROXY.
type Options struct {
	// Headers are sent to the hosts that they name, such as an Authorization.
	Headers []Header
	// NetrcFile has logins by host; "" takes the variable NETRC, then ~/.netrc. One
	// that is named must be readable; "-" is none.
	NetrcFile string
	// MaxConns is how many idle connections are kept for each host; 0 is
	// DefaultMaxConns. It should be the greatest number of calls at a time.
	MaxConns int
	// Timeouts bound single waits; bodies are bounded by the wrapper above.
	Timeouts Timeouts
	// Rules say which URLs may be asked for, redirects too, and at which addresses; nil
	// has those for addresses only.
	Rules *backends.Rules
	// Transport replaces the HTTP transport, as it stands, with no rules for addresses
	// that names resolve to; nil makes one.
	Transport *http.Transport
}

// Timeouts are how long parts of a request may take; a zero field is its default.
type Timeouts struct {
	Dial   time.Duration // to connect (10 s)
	TLS    time.Duration // to agree on keys (10 s)
	Header time.Duration // until the answer begins, for each redirect (60 s)
	Idle   time.Duration // that an unused connection is kept (90 s)
}

func (t Timeouts) filled() Timeouts {
	fill := func(d *time.Duration, value time.Duration) {
		if *d == 0 {
			*d = value
		}
	}
	fill(&t.Dial, 10*time.Second)
	fill(&t.TLS, 10*time.Second)
	fill(&t.Header, 60*time.Second)
	fill(&t.Idle, 90*time.Second)
	return t
}
