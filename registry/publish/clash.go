package publish

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"

	"github.com/pinfs/pinfs/backends"
	"github.com/pinfs/pinfs/manifest"
)

// explain tells which objects claim one path, or a file and the directory of one
// name. The builder knows the path only, and keeping all references for this would
// take memory, so the sources are listed once more.
func (p *put) explain(ctx context.Context, err error) error {
	var typed *manifest.Error
	if !errors.As(err, &typed) || typed.Kind != manifest.KindInvalid || typed.Ref == "" {
		return err
	}
	c := claims{path: typed.Ref}
	if path, unquoted := strconv.Unquote(typed.Ref); unquoted == nil {
		c.path = path
	}
	for _, source := range p.sources {
		_ = p.o.Backend.List(ctx, source.URI, func(info backends.Info) error { return c.take(source, info) })
	}
	refs := slices.Concat(c.at, c.below)
	if len(refs) < 2 {
		return err
	}
	return &manifest.Error{
		Kind: manifest.KindInvalid, Op: "put", Ref: typed.Ref, Msg: typed.Msg + ": " + refs[0] + " and " + refs[1],
		Hint: "give the sources different names (NAME=URI)",
	}
}

// claims are references to objects at a path, two at most, and to one below it.
type claims struct {
	path      string
	at, below []string
}

var errEnough = errors.New("enough")

func (c *claims) take(source Source, info backends.Info) error {
	path, err := source.path(info)
	switch {
	case err != nil:
	case path == c.path:
		c.at = append(c.at, info.Ref)
	case len(c.below) == 0 && strings.HasPrefix(path, c.path+"/"):
		c.below = append(c.below, info.Ref)
	}
	if len(c.at) >= 2 || len(c.at) == 1 && len(c.below) == 1 {
		return errEnough
	}
	return nil
}
