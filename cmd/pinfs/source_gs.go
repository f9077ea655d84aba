package main

import (
	"context"

	"github.com/urfave/cli/v2"

	"github.com/pinfs/pinfs/backends"
	"github.com/pinfs/pinfs/backends/gcsstore"
)

// Names of the flags of Google Cloud Storage.
const (
	flagGSEndpoint    = "gs-endpoint"
	flagGSAnonymous   = "gs-anonymous"
	flagGSUserProject = "gs-user-project"
)

func gsFlags() []cli.Flag {
	return []cli.Flag{
		text(catGS, flagGSEndpoint, "`URL` of another server than Google's; it gets no credentials that were not made for it", "STORAGE_EMULATOR_HOST"),
		toggle(catGS, flagGSAnonymous, "send no credentials"),
		text(catGS, flagGSUserProject, "`PROJECT` that pays for requests", ""),
	}
}

// gsSource is made when it is first asked.
func gsSource(c *cli.Context, retry backends.RetryPolicy) backends.Backend {
	gs := &lazy{open: func(ctx context.Context) (backends.Backend, error) {
		return gcsstore.New(ctx, gcsstore.Options{
			Endpoint:    c.String(flagGSEndpoint),
			Anonymous:   c.Bool(flagGSAnonymous),
			UserProject: c.String(flagGSUserProject),
			MaxConns:    maxRequests,
			Retry:       retry,
		})
	}}
	return backends.Wrap(gs, backends.Options{Retry: retry, Limit: maxRequests, Hedge: true})
}

func gsSettings(c *cli.Context, s shown) {
	s.put(flagGSEndpoint, first(c.String(flagGSEndpoint), env("STORAGE_EMULATOR_HOST")))
	s.put(flagGSAnonymous, flagText(c, flagGSAnonymous))
	s.put(flagGSUserProject, c.String(flagGSUserProject))
	s.variables("GOOGLE_APPLICATION_CREDENTIALS", "CLOUDSDK_CONFIG")
}
