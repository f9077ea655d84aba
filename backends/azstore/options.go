package azstore

import (
	"context"
	"net/http"

	"github.com/pinfs/pinfs/backends"
)

// DefaultMaxConns is how many idle connections are kept when Options don't say.
const DefaultMaxConns = 64

// Options say how to reach Azure Blob. The zero value follows the conventions of
// Azure's tools: AZURE_STORAGE_CONNECTION_STRING; AZURE_STORAGE_ACCOUNT with
// AZURE_STORAGE_KEY or AZURE_STORAGE_SAS_TOKEN; and for every other account what
// DefaultAzureCredential finds (environment, workload identity, managed identity,
// az login, azd, PowerShell).
type Options struct {
	// Endpoint is the base URL of the blob service of Account, of an emulator or
	// a private one: http://127.0.0.1:10000/devstoreaccount1. "" takes
	// AZURE_STORAGE_SERVICE_ENDPOINT, then the BlobEndpoint of the connection
	// string. Other accounts are asked at their own hosts.
	Endpoint string
	// Account is the account that Endpoint and the key or SAS token of the
	// environment are of. "" takes AZURE_STORAGE_ACCOUNT, then the name in
	// Endpoint, then that of the connection string.
	Account string
	// Anonymous sends no credentials, for public containers.
	Anonymous bool
	// MaxConns is how many idle connections are kept for each host; 0 is
	// DefaultMaxConns. It should be the greatest number of calls at a time.
	MaxConns int
	// PageSize is how many blobs are asked for at once in a listing; 0 leaves it to
	// the server, which gives 5,000.
	PageSize int32
	// Retry is the budget of each page of a listing, but for the first one, which
	// the wrapper repeats. Zero fields are the wrapper's defaults, but for
	// StallTimeout, 60 s (a server may need long for a page), and MaxElapsed, 5 min.
	Retry backends.RetryPolicy
	// Transport replaces the HTTP transport; nil makes one.
	Transport *http.Transport
}

// New makes the driver. It sends nothing: credentials are looked for at the first
// request that needs them. KindInvalid for settings that can't be used, such as a
// connection string that is none.
func New(ctx context.Context, o Options) (*Store, error) {
	set, err := readSettings(o)
	if err != nil {
		return nil, err
	}
	return newStore(ctx, o, set), nil
}
