package main

import (
	"context"
	"os"
	"strconv"

	"github.com/urfave/cli/v2"

	"github.com/pinfs/pinfs/backends"
	"github.com/pinfs/pinfs/backends/s3store"
)

// Names of the flags of S3.
const (
	flagS3Endpoint  = "s3-endpoint"
	flagS3Region    = "s3-region"
	flagS3PathStyle = "s3-path-style"
	flagS3Anonymous = "s3-anonymous"
	flagS3Pays      = "s3-requester-pays"
)

func s3Flags() []cli.Flag {
	return []cli.Flag{
		text(catS3, flagS3Endpoint, "`URL` of an S3 server other than Amazon's", "AWS_ENDPOINT_URL_S3, AWS_ENDPOINT_URL, AWS_S3_ENDPOINT_URL"),
		text(catS3, flagS3Region, "`REGION` to sign for", "AWS_REGION, or the profile's"),
		toggle(catS3, flagS3PathStyle, "the bucket is in the path, not in the host name (default: as the endpoint needs)"),
		toggle(catS3, flagS3Anonymous, "send no credentials"),
		toggle(catS3, flagS3Pays, "agree to pay for requests"),
	}
}

// s3Source is made when it is first asked.
func s3Source(c *cli.Context, retry backends.RetryPolicy, rules *backends.Rules) backends.Backend {
	s3 := &lazy{open: func(ctx context.Context) (backends.Backend, error) {
		o := s3Options(c, retry)
		o.Rules = rules
		return s3store.New(ctx, o)
	}}
	return backends.Wrap(s3, backends.Options{Retry: retry, Limit: maxRequests, Hedge: true})
}

func s3Options(c *cli.Context, retry backends.RetryPolicy) s3store.Options {
	o := s3store.Options{
		Endpoint:      c.String(flagS3Endpoint),
		Region:        c.String(flagS3Region),
		Anonymous:     c.Bool(flagS3Anonymous),
		RequesterPays: c.Bool(flagS3Pays),
		MaxConns:      maxRequests,
		Retry:         retry,
	}
	if c.IsSet(flagS3PathStyle) {
		style := c.Bool(flagS3PathStyle)
		o.PathStyle = &style
	}
	return o
}

func s3Settings(c *cli.Context, s shown) {
	s.put(flagS3Endpoint, first(c.String(flagS3Endpoint), env("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_S3_ENDPOINT_URL")))
	s.put(flagS3Region, first(c.String(flagS3Region), env("AWS_REGION", "AWS_DEFAULT_REGION")))
	s.put(flagS3Anonymous, flagText(c, flagS3Anonymous))
	s.put(flagS3Pays, flagText(c, flagS3Pays))
	if c.IsSet(flagS3PathStyle) {
		s.put(flagS3PathStyle, strconv.FormatBool(c.Bool(flagS3PathStyle)))
	}
	s.variables("AWS_PROFILE", "AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE", "AWS_ROLE_ARN")
	s.secret("access key", os.Getenv("AWS_ACCESS_KEY_ID"))
}
