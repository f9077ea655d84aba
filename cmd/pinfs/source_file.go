package main

import (
	"time"

	"github.com/urfave/cli/v2"

	"github.com/pinfs/pinfs/backends"
	"github.com/pinfs/pinfs/backends/filestore"
)

// flagShareTimeout bounds each call to the file system.
const flagShareTimeout = "share-timeout"

// maxFiles is how many files may be read at once, each an open one.
const maxFiles = 64

func fileFlags() []cli.Flag {
	return []cli.Flag{
		text(catHTTP, flagShareTimeout, "`TIME` after which a share that does not answer is given up: 10s, 2m", "30s"),
	}
}

// shareTimeout gives the flag's value; 0 is the driver's default.
func shareTimeout(c *cli.Context) (time.Duration, error) {
	value := c.String(flagShareTimeout)
	if value == "" {
		return 0, nil
	}
	d, err := time.ParseDuration(value)
	if err != nil || d <= 0 {
		return 0, usage("flag", "--"+flagShareTimeout, "not a time: "+value, "write it like 10s or 2m")
	}
	return d, nil
}

// fileSource reads files by the rules; nil is all. The flag was checked before.
func fileSource(c *cli.Context, retry backends.RetryPolicy, rules *backends.Rules) backends.Backend {
	timeout, _ := shareTimeout(c)
	files := filestore.NewWith(filestore.Options{ShareTimeout: timeout, Rules: rules})
	return backends.Wrap(files, backends.Options{Retry: retry, Limit: maxFiles})
}
