package s3store

import (
	"context"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/smithy-go/logging"

	"github.com/pinfs/pinfs/backends"
	"github.com/pinfs/pinfs/manifest"
)

const (
	dialTimeout   = 10 * time.Second
	tlsTimeout    = 10 * time.Second
	headerTimeout = 60 * time.Second // the retry wrapper cuts reads earlier
	maxPageTime   = 5 * time.Minute
	idleTimeout   = 90 * time.Second
	keepAlive     = 30 * time.Second // as the SDK
)

// keyring is AWS's configuration and the credentials that come from it. Renewing
// reads the configuration again, so that a long-running process sees what a
// login wrote to the files meanwhile.
type keyring struct {
	config aws.Config // the first one
	http   *http.Client
	wires  *wires // nil if requests need net/http's connections
	load   func(context.Context) (aws.Config, error)

	mu  sync.Mutex
	now aws.CredentialsProvider // guarded by mu
	age uint64                  // guarded by mu: how often now was replaced
	had bool                    // guarded by mu: credentials were found before
}

var _ aws.CredentialsProvider = (*keyring)(nil)

func newKeyring(ctx context.Context, o Options) (*keyring, error) {
	client := buildable(o)
	k := &keyring{load: func(ctx context.Context) (aws.Config, error) {
		return config.LoadDefaultConfig(ctx, config.WithHTTPClient(client), config.WithLogger(logging.Nop{}))
	}}
	cfg, err := k.load(ctx)
	if err != nil {
		return nil, &manifest.Error{Kind: manifest.KindInvalid, Op: "read AWS configuration", Err: backends.Brief(err),
			Hint: "check AWS_PROFILE, AWS_CONFIG_FILE and the files it names"}
	}
	k.config, k.now = cfg, cfg.Credentials
	// The configuration may have put AWS_CA_BUNDLE into a copy of the client.
	if b, ok := cfg.HTTPClient.(*awshttp.BuildableClient); ok {
		client = b
	}
	transport := o.Transport
	if transport == nil {
		transport = client.GetTransport()
	}
	k.http = client.Freeze().(*http.Client)
	k.http.Transport = transport // the SDK hides its own, whose idle connections can't be closed then
	k.wires = newWires(transport)
	return k, nil
}

// buildable is the HTTP client: HTTP/1.1 (S3 speaks no other, and HTTP/2 would
// put all ranges onto one connection), no decompression, no deadline for bodies.
func buildable(o Options) *awshttp.BuildableClient {
	conns := o.MaxConns
	if conns <= 0 {
		conns = DefaultMaxConns
	}
	return awshttp.NewBuildableClient().WithDialerOptions(func(d *net.Dialer) {
		d.Timeout = dialTimeout
	}).WithTransportOptions(func(t *http.Transport) {
		t.MaxIdleConns, t.MaxIdleConnsPerHost, t.MaxConnsPerHost = 0, backends.KeptConns(conns), 0
		t.IdleConnTimeout = idleTimeout
		t.TLSHandshakeTimeout, t.ResponseHeaderTimeout = tlsTimeout, headerTimeout
		t.DisableCompression = true
		t.ForceAttemptHTTP2 = false
		t.Protocols = new(http.Protocols)
		t.Protocols.SetHTTP1(true)
	})
}

// noKeys is the error of a request that could not be signed.
type noKeys struct {
	err error
	had bool // there were credentials before: whoever gives them may be down
}

func (n *noKeys) Error() string { return n.err.Error() }
func (n *noKeys) Unwrap() error { return n.err }

// Retrieve gives the credentials of now.
func (k *keyring) Retrieve(ctx context.Context) (aws.Credentials, error) {
	k.mu.Lock()
	provider, had := k.now, k.had
	k.mu.Unlock()
	if provider == nil {
		return aws.Credentials{}, &noKeys{err: errNoProvider, had: had}
	}
	c, err := provider.Retrieve(ctx)
	if err != nil {
		return aws.Credentials{}, &noKeys{err: err, had: had}
	}
	if !had {
		k.mu.Lock()
		k.had = true
		k.mu.Unlock()
	}
	return c, nil
}

func (k *keyring) generation() uint64 {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.age
}

// renew replaces the credentials of generation age. Of many that find them
// expired the first does it, for all. false: it can't be done.
func (k *keyring) renew(ctx context.Context, age uint64) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.age != age {
		return true
	}
	cfg, err := k.load(ctx)
	if err != nil {
		return false
	}
	k.now = cfg.Credentials
	k.age++
	return true
}
