package main

import (
	"context"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"
	"github.com/urfave/cli/v2/altsrc"

	"github.com/pinfs/pinfs/backends"
	"github.com/pinfs/pinfs/backends/httpstore"
)

// flagHTTPHeader may be repeated; in the environment, lines are headers.
const flagHTTPHeader = "http-header"

func httpFlags() []cli.Flag {
	return []cli.Flag{
		altsrc.NewStringSliceFlag(&cli.StringSliceFlag{
			Name: flagHTTPHeader, Category: catHTTP, EnvVars: []string{envName(flagHTTPHeader)},
			Usage: "`HEADER` for one host, \"HOST Name: value\"; may be repeated. Other programs see arguments: PINFS_HTTP_HEADER, a line for each, is for secrets",
		}),
	}
}

// httpHeaders gives all headers, none empty.
func httpHeaders(c *cli.Context) []string {
	var all []string
	for _, value := range c.StringSlice(flagHTTPHeader) {
		all = append(all, strings.Split(value, "\n")...)
	}
	return slices.DeleteFunc(all, func(line string) bool { return strings.TrimSpace(line) == "" })
}

// parseHeaders reads the flag; errors tell no value.
func parseHeaders(c *cli.Context) ([]httpstore.Header, error) {
	var all []httpstore.Header
	for _, line := range httpHeaders(c) {
		h, err := httpstore.ParseHeader(line)
		if err != nil {
			return nil, err
		}
		all = append(all, h)
	}
	return all, nil
}

// httpSource is made when it is first asked.
func httpSource(c *cli.Context, retry backends.RetryPolicy, rules *backends.Rules) backends.Backend {
	web := &lazy{open: func(context.Context) (backends.Backend, error) {
		headers, err := parseHeaders(c)
		if err != nil {
			return nil, err
		}
		return httpstore.New(httpstore.Options{Headers: headers, MaxConns: maxRequests, Rules: rules})
	}}
	return backends.Wrap(web, backends.Options{Retry: retry, Limit: maxRequests})
}

func httpSettings(c *cli.Context, s shown) {
	s.secret(flagHTTPHeader, httpHeaders(c)...)
	s.variables("NETRC")
}
