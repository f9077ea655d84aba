package azstore

import (
	"context"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/cloud"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
)

const (
	tokenScope = "https://storage.azure.com/.default" // of all clouds

	// askTimeout bounds one search for a token: the chain asks a metadata server
	// that may not be there, and starts az, azd and PowerShell if they are.
	askTimeout = 30 * time.Second
	// tokenRetries and tokenPause: a metadata server may need a moment; the rest is
	// the wrapper's.
	tokenRetries = 2
	tokenPause   = 500 * time.Millisecond
	// tokenMargin is how long before its end a token is renewed.
	tokenMargin = 5 * time.Minute
	// failedFor is how long a failed search is the answer to all who ask.
	failedFor = 5 * time.Second
)

// signIn gives tokens of one cloud, from DefaultAzureCredential, which is made at
// the first need. The SDK's own caches wait without a context: so one search at a
// time runs in the background, for all, and each caller waits as long as it likes.
type signIn struct {
	ctx  context.Context //nolint:containedctx // ends with the Store; a search outlives the caller that began it
	open func() (azcore.TokenCredential, error)

	mu     sync.Mutex
	source azcore.TokenCredential // guarded by mu
	token  azcore.AccessToken     // guarded by mu
	scope  string                 // guarded by mu: of token
	had    bool                   // guarded by mu: there was a token before
	failed *noKeys                // guarded by mu: the last search's
	until  time.Time              // guarded by mu: how long failed counts
	flight *flight                // guarded by mu: the search under way
}

// flight is one search; token and err are written before done is closed.
type flight struct {
	done  chan struct{}
	token azcore.AccessToken
	err   error
}

var _ azcore.TokenCredential = (*signIn)(nil)

func newSignIn(ctx context.Context, where cloud.Configuration, client *http.Client) *signIn {
	return &signIn{ctx: ctx, open: func() (azcore.TokenCredential, error) {
		o := azcore.ClientOptions{Cloud: where, Transport: client, Retry: policy.RetryOptions{MaxRetries: tokenRetries, RetryDelay: tokenPause, MaxRetryDelay: tokenPause}}
		if os.Getenv("AZURE_AUTHORITY_HOST") != "" {
			o.Cloud = cloud.Configuration{} // azidentity reads the variable
		}
		return azidentity.NewDefaultAzureCredential(&azidentity.DefaultAzureCredentialOptions{ClientOptions: o})
	}}
}

// cloudOf gives the cloud whose tokens a blob service takes.
func cloudOf(host string) cloud.Configuration {
	switch {
	case strings.HasSuffix(host, ".chinacloudapi.cn"):
		return cloud.AzureChina
	case strings.HasSuffix(host, ".usgovcloudapi.net"):
		return cloud.AzureGovernment
	}
	return cloud.AzurePublic
}

// ready waits until there is a token, so that the SDK finds one at once.
func (s *signIn) ready(ctx context.Context) error {
	_, err := s.GetToken(ctx, policy.TokenRequestOptions{Scopes: []string{tokenScope}})
	return err
}

// GetToken gives the token of now.
func (s *signIn) GetToken(ctx context.Context, o policy.TokenRequestOptions) (azcore.AccessToken, error) {
	scope := strings.Join(o.Scopes, " ")
	s.mu.Lock()
	now := time.Now()
	switch {
	case s.scope == scope && o.Claims == "" && s.token.ExpiresOn.After(now.Add(tokenMargin)):
		defer s.mu.Unlock()
		return s.token, nil
	case s.failed != nil && now.Before(s.until):
		defer s.mu.Unlock()
		return s.last(scope, s.failed)
	}
	f := s.flight
	if f == nil {
		f = &flight{done: make(chan struct{})}
		s.flight = f
		go s.search(f, o, scope)
	}
	s.mu.Unlock()
	select {
	case <-f.done:
		return f.token, f.err
	case <-ctx.Done():
		return azcore.AccessToken{}, context.Cause(ctx)
	}
}

// last gives the old token while it is still good, else err. mu is held.
func (s *signIn) last(scope string, err *noKeys) (azcore.AccessToken, error) {
	if s.scope == scope && s.token.ExpiresOn.After(time.Now()) {
		return s.token, nil
	}
	return azcore.AccessToken{}, err
}

// search asks for a token, for all who wait for f.
func (s *signIn) search(f *flight, o policy.TokenRequestOptions, scope string) {
	defer close(f.done)
	ctx, cancel := context.WithTimeoutCause(s.ctx, askTimeout, errNoToken)
	defer cancel()
	s.mu.Lock()
	source := s.source
	s.mu.Unlock()
	var token azcore.AccessToken
	var err error
	if source == nil {
		source, err = s.open()
	}
	if err == nil {
		if token, err = source.GetToken(ctx, o); err != nil && ctx.Err() != nil {
			err = context.Cause(ctx)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.flight = nil
	if err != nil {
		s.failed, s.until = &noKeys{err: err, had: s.had}, time.Now().Add(failedFor)
		f.token, f.err = s.last(scope, s.failed)
		return
	}
	s.source, s.token, s.scope, s.had, s.failed = source, token, scope, true, nil
	f.token = token
}

// forget drops token, if it is still the one of now, and what it came from, which
// would give it again. false when there is none, or when it has just come.
func (s *signIn) forget(token string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if token == "" {
		return false
	}
	if s.token.Token == token {
		s.source, s.token, s.failed = nil, azcore.AccessToken{}, nil
	}
	return true
}

// current gives the token that requests of now go with.
func (s *signIn) current() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.token.Token
}
