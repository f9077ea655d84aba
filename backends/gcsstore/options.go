package gcsstore

import (
	"context"
	"net/http"

	"github.com/pinfs/pinfs/backends"
)

// DefaultMaxConns is how many idle connections are kept when Options don't say.
const DefaultMaxConns = 64

// Options say how to reach Google Cloud Storage. The zero value follows Google's
// conventions: application default credentials, and STORAGE_EMULATOR_HOST.
type Options struct {
	// Endpoint is the base URL of another server than Google's. "" takes
	// STORAGE_EMULATOR_HOST, and nobody's credentials are sent while that is set.
	Endpoint string
	// Anonymous sends no credentials, for public buckets.
	Anonymous bool
	// CredentialsFile is a file of credentials as Google makes them (service
	// account, user, workload identity). "" takes GOOGLE_APPLICATION_CREDENTIALS,
	// then gcloud's application default credentials, then the metadata server.
	CredentialsFile string
	// UserProject pays for requests and traffic: buckets of requesters who pay
	// refuse requests without one.
	UserProject string
	// MaxConns is how many idle connections are kept for each host; 0 is
	// DefaultMaxConns. It should be the greatest number of calls at a time.
	MaxConns int
	// Retry is the budget of each page of a listing, but for the first one, which
	// the wrapper repeats. Zero fields are the wrapper's defaults, but for
	// StallTimeout, 60 s (a server may need long for a page), and MaxElapsed, 5 min.
	// StallTimeout also bounds each request for metadata.
	Retry backends.RetryPolicy
	// Transport replaces the HTTP transport; nil makes one.
	Transport *http.Transport
}

// New makes the driver. It sends nothing: credentials are found at the first
// request. KindInvalid for an endpoint that is no URL, and for a CredentialsFile
// that can't be read or understood.
func New(ctx context.Context, o Options) (*Store, error) {
	base, emulator, err := baseURL(o.Endpoint)
	if err != nil {
		return nil, err
	}
	t := o.Transport
	if t == nil {
		t = newTransport(o.MaxConns)
	}
	var keys *keyring
	if !o.Anonymous && !emulator {
		if keys, err = newKeyring(o.CredentialsFile, t); err != nil {
			return nil, err
		}
	}
	return newStore(ctx, o, base, t, keys)
}
