package main

import (
	"context"
	"os"

	"github.com/urfave/cli/v2"

	"github.com/pinfs/pinfs/backends"
	"github.com/pinfs/pinfs/backends/azstore"
)

// Names of the flags of Azure Blob.
const (
	flagAZEndpoint  = "az-endpoint"
	flagAZAccount   = "az-account"
	flagAZAnonymous = "az-anonymous"
)

func azFlags() []cli.Flag {
	return []cli.Flag{
		text(catAZ, flagAZEndpoint, "`URL` of the blob service of --az-account: an emulator, a private one", "AZURE_STORAGE_SERVICE_ENDPOINT"),
		text(catAZ, flagAZAccount, "`ACCOUNT` of --az-endpoint and of the key or SAS token in the environment", "AZURE_STORAGE_ACCOUNT"),
		toggle(catAZ, flagAZAnonymous, "send no credentials"),
	}
}

// azSource is made when it is first asked.
func azSource(c *cli.Context, retry backends.RetryPolicy) backends.Backend {
	az := &lazy{open: func(ctx context.Context) (backends.Backend, error) {
		return azstore.New(ctx, azstore.Options{
			Endpoint:  c.String(flagAZEndpoint),
			Account:   c.String(flagAZAccount),
			Anonymous: c.Bool(flagAZAnonymous),
			MaxConns:  maxRequests,
			Retry:     retry,
		})
	}}
	return backends.Wrap(az, backends.Options{Retry: retry, Limit: maxRequests, Hedge: true})
}

func azSettings(c *cli.Context, s shown) {
	s.put(flagAZEndpoint, first(c.String(flagAZEndpoint), env("AZURE_STORAGE_SERVICE_ENDPOINT")))
	s.put(flagAZAccount, first(c.String(flagAZAccount), env("AZURE_STORAGE_ACCOUNT")))
	s.put(flagAZAnonymous, flagText(c, flagAZAnonymous))
	s.variables("AZURE_TENANT_ID", "AZURE_CLIENT_ID", "AZURE_CONFIG_DIR")
	s.secret("azure key", os.Getenv("AZURE_STORAGE_CONNECTION_STRING"), os.Getenv("AZURE_STORAGE_KEY"), os.Getenv("AZURE_STORAGE_SAS_TOKEN"),
		os.Getenv("AZURE_CLIENT_SECRET"))
}
