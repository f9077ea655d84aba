package s3store

import (
	"context"
	"net/http"

	"github.com/pinfs/pinfs/backends"
)

// DefaultMaxConns is how many idle connections are kept when Options don't say.
const DefaultMaxConns = 64

// Options say how to reach S3. The zero value follows AWS's conventions:
// environment, shared configuration files and profiles, SSO, web identity, the
// roles of containers and instances.
type Options struct {
	// Endpoint is the base URL of another server than Amazon's. "" takes
	// AWS_ENDPOINT_URL_S3, AWS_ENDPOINT_URL, the profile's endpoint_url, then
	// AWS_S3_ENDPOINT_URL (W&B's variable).
	Endpoint string
	// Region is where buckets are; "" takes AWS_REGION or the profile's, then
	// us-east-1. A bucket that says it is elsewhere is asked there.
	Region string
	// PathStyle puts the bucket into the path instead of the host name. nil
	// decides: path style for a custom endpoint, as boto3 does, unless it is
	// one that is known to want host names (see hostStyle).
	PathStyle *bool
	// Anonymous sends no credentials, for public buckets.
	Anonymous bool
	// RequesterPays accepts that the reader pays for requests and traffic.
	RequesterPays bool
	// MaxConns is how many idle connections are kept for each host; 0 is
	// DefaultMaxConns. It should be the greatest number of calls at a time.
	MaxConns int
	// Retry is the budget of each page of a listing, but for the first one, which
	// the wrapper repeats. Zero fields are the wrapper's defaults, but for
	// StallTimeout, 60 s (a server may need long for a page), and MaxElapsed, 5 min.
	Retry backends.RetryPolicy
	// Rules say at which addresses hosts may be asked that the bucket is a part of, and
	// those of redirects; the endpoint may be anywhere.
	Rules *backends.Rules
	// Transport replaces the HTTP transport; nil makes one. With it, AWS_CA_BUNDLE
	// is not looked at, nor are Rules.
	Transport *http.Transport
}

// New makes the driver. It sends nothing: credentials and regions are found at
// the first request. KindInvalid for a configuration that can't be read, such as
// a profile that does not exist.
func New(ctx context.Context, o Options) (*Store, error) {
	k, err := newKeyring(ctx, o)
	if err != nil {
		return nil, err
	}
	return newStore(o, k), nil
}
