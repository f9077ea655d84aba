package main

import (
	"os"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/pinfs/pinfs/backends"
	"github.com/pinfs/pinfs/manifest"
	"github.com/pinfs/pinfs/manifest/snapshot"
	"github.com/pinfs/pinfs/registry/expand"
	"github.com/pinfs/pinfs/registry/publish"
)

// maxFoundFlag bounds what unpinned references may mean.
func maxFoundFlag() cli.Flag {
	return &cli.Int64Flag{Name: "max-objects", Value: publish.DefaultMaxObjects, Usage: "the most objects `N` that one unpinned reference may mean; 0 for no limit"}
}

// maxFound gives the flag as expand wants it.
func maxFound(c *cli.Context) (int64, error) {
	n := c.Int64("max-objects")
	switch {
	case n < 0:
		return 0, usage(c.Command.Name, "--max-objects", "negative", "0 is for no limit")
	case n == 0:
		return -1, nil
	}
	return n, nil
}

// expanded is a version whose unpinned references were looked at.
type expanded struct {
	snap    *snapshot.Snapshot
	backend backends.Backend
	close   func()
}

// expand looks at the unpinned references of o, all files among them, for a
// command that wants the whole version.
func (a *app) expand(c *cli.Context, o *opened, b backends.Backend) (*expanded, error) {
	asIs := &expanded{o.snap, b, func() {}}
	limit, err := maxFound(c)
	if err != nil || c.Bool(flagOffline) {
		return asIs, err
	}
	dir, err := os.MkdirTemp("", "pinfs-found-")
	if err != nil {
		return nil, &manifest.Error{Op: "get", Err: err, Hint: "set TMPDIR to a directory that can be written"}
	}
	x := expand.New(expand.Options{Backend: b, Dir: dir, MaxObjects: limit, Timeout: -1, Files: true,
		Below: strings.TrimSuffix(c.String("path-prefix"), "/")})
	end := func() { _, _ = x.Close(), os.RemoveAll(dir) }
	all, err := x.Open(c.Context, o.snap, o.version.Snapshot)
	if err != nil {
		end()
		return nil, err
	}
	return &expanded{all, x.Wrap(b), func() {
		if all != o.snap {
			all.Close()
		}
		end()
	}}, nil
}
