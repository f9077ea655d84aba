package azstore

import (
	"context"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/cloud"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/container"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/service"

	"github.com/pinfs/pinfs/backends"
)

const (
	dialTimeout   = 10 * time.Second
	tlsTimeout    = 10 * time.Second
	headerTimeout = 60 * time.Second // the retry wrapper cuts reads earlier
	maxPageTime   = 5 * time.Minute
	idleTimeout   = 90 * time.Second

	// maxClients bounds the services whose clients are kept; past it they are made anew.
	maxClients = 256
)

// Store is the driver. All methods may be called from many goroutines at once.
type Store struct {
	set       settings
	anonymous bool
	http      *http.Client
	retry     backends.RetryPolicy
	pageSize  *int32 // nil leaves it to the server
	found     backends.Found[place]
	stop      context.CancelFunc
	newSignIn func(cloud.Configuration) *signIn

	mu      sync.Mutex
	clients map[string]*client // guarded by mu: by base URL
	signIns map[string]*signIn // guarded by mu: by the cloud's authority
}

var _ backends.Backend = (*Store)(nil)

// client speaks to the blob service of one account.
type client struct {
	*service.Client
	signIn *signIn // nil for keys, SAS tokens and nothing
}

// newStore: searches for tokens end with Close, not with ctx, which is the caller's.
func newStore(ctx context.Context, o Options, set settings) *Store {
	inner, stop := context.WithCancel(context.WithoutCancel(ctx))
	transport := o.Transport
	if transport == nil {
		transport = newTransport(o)
	}
	s := &Store{set: set, anonymous: o.Anonymous, retry: pagePolicy(o.Retry), stop: stop,
		clients: map[string]*client{}, signIns: map[string]*signIn{},
		http: &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}
	if o.PageSize > 0 {
		s.pageSize = &o.PageSize
	}
	s.newSignIn = func(where cloud.Configuration) *signIn { return newSignIn(inner, where, s.http) }
	return s
}

func pagePolicy(p backends.RetryPolicy) backends.RetryPolicy {
	if p.StallTimeout == 0 {
		p.StallTimeout = headerTimeout
	}
	if p.MaxElapsed == 0 {
		p.MaxElapsed = maxPageTime
	}
	return p
}

// newTransport: HTTP/1.1 (Azure Blob speaks no other), no decompression, no
// deadline for bodies.
func newTransport(o Options) *http.Transport {
	conns := o.MaxConns
	if conns <= 0 {
		conns = DefaultMaxConns
	}
	t := &http.Transport{
		Proxy:               http.ProxyFromEnvironment,
		DialContext:         (&net.Dialer{Timeout: dialTimeout, KeepAlive: 30 * time.Second}).DialContext,
		MaxIdleConnsPerHost: backends.KeptConns(conns), IdleConnTimeout: idleTimeout,
		TLSHandshakeTimeout: tlsTimeout, ResponseHeaderTimeout: headerTimeout,
		DisableCompression: true,
		Protocols:          new(http.Protocols),
	}
	t.Protocols.SetHTTP1(true)
	return t
}

// Close frees connections and ends searches for tokens.
func (s *Store) Close() error {
	s.stop()
	s.http.CloseIdleConnections()
	return nil
}

// access gives what is known of p's account. An account's secondary host has the
// account's name and "-secondary".
func (s *Store) access(p place) access { return s.set[strings.TrimSuffix(p.account, "-secondary")] }

// base is the URL of the blob service that p is asked at.
func (s *Store) base(p place) string {
	switch a := s.access(p); {
	case a.custom, p.host == "" && a.base != "":
		return a.base
	case p.host != "":
		return "https://" + p.host
	}
	return "https://" + p.account + publicSuffix
}

// recorded gives the place whose reference is recorded for p: W&B's form unless
// the account has an endpoint of its own.
func (s *Store) recorded(p place) place {
	if p.host == "" && !s.access(p).custom {
		p.host = strings.TrimPrefix(s.base(p), "https://")
	}
	return p
}

// client gives the client for p's account.
func (s *Store) client(p place) (*client, error) {
	base := s.base(p)
	s.mu.Lock()
	defer s.mu.Unlock()
	if c := s.clients[base]; c != nil {
		return c, nil
	}
	c, err := s.newClient(base, p)
	if err != nil {
		return nil, err
	}
	if len(s.clients) >= maxClients {
		clear(s.clients)
	}
	s.clients[base] = c
	return c, nil
}

// newClient makes the client of an account with the credentials that it has. s.mu is held.
func (s *Store) newClient(base string, p place) (c *client, err error) {
	c = &client{}
	a := s.access(p)
	switch o := s.options(a); {
	case s.anonymous || a.key == "" && a.sas != "":
		c.Client, err = service.NewClientWithNoCredential(base, o)
	case a.key != "":
		var key *service.SharedKeyCredential
		if key, err = service.NewSharedKeyCredential(strings.TrimSuffix(p.account, "-secondary"), a.key); err == nil {
			c.Client, err = service.NewClientWithSharedKeyCredential(base, key, o)
		}
	case !strings.HasPrefix(base, "https://"):
		return nil, &noKeys{err: errPlain} // a token would go over the wire for all to see
	default:
		c.signIn = s.signIn(base)
		c.Client, err = service.NewClient(base, c.signIn, o)
	}
	return c, err
}

// signIn gives the tokens for a base URL. s.mu is held.
func (s *Store) signIn(base string) *signIn {
	host := base
	if u, err := url.Parse(base); err == nil {
		host = u.Hostname()
	}
	where := cloudOf(host)
	k := s.signIns[where.ActiveDirectoryAuthorityHost]
	if k == nil {
		k = s.newSignIn(where)
		s.signIns[where.ActiveDirectoryAuthorityHost] = k
	}
	return k
}

func (s *Store) options(a access) *service.ClientOptions {
	o := &service.ClientOptions{}
	o.Transport = s.http
	o.Retry = policy.RetryOptions{MaxRetries: -1}
	o.Telemetry.ApplicationID = "pinfs"
	sas := a.sas
	if s.anonymous {
		sas = ""
	}
	o.PerCallPolicies = []policy.Policy{query{sas: sas}}
	return o
}

// send sends one request about p; once more with another token when that was refused.
func send[T any](ctx context.Context, s *Store, p place, call func(context.Context, *container.Client) (T, error)) (T, error) {
	for try := 1; ; try++ {
		var none T
		c, err := s.client(p)
		if err != nil {
			return none, err
		}
		token := ""
		if c.signIn != nil {
			if err := c.signIn.ready(ctx); err != nil {
				return none, err
			}
			token = c.signIn.current()
		}
		out, err := call(choose(ctx, p), c.NewContainerClient(p.container))
		r, refused := replyOf(err)
		if try == 2 || !refused || !r.expired() || c.signIn == nil || !c.signIn.forget(token) {
			return out, err
		}
		s.drop(c)
	}
}

// drop lets the next call make a new client: the SDK's keeps its token.
func (s *Store) drop(old *client) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for base, c := range s.clients {
		if c == old {
			delete(s.clients, base)
		}
	}
}
