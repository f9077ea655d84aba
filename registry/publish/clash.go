package publish

import (
	"context"
	"errors"
	"strings"

	"github.com/pinfs/pinfs/backends"
	"github.com/pinfs/pinfs/manifest"
)

// explain tells which objects claim one path. The builder knows the path only, and
// keeping all references for this would take memory, so the sources are listed
// once more.
func (p *put) explain(ctx context.Context, err error) error {
	var typed *manifest.Error
	if !errors.As(err, &typed) || typed.Kind != manifest.KindInvalid || typed.Ref == "" {
		return err
	}
	var refs []string
	for _, source := range p.sources {
		_ = p.o.Backend.List(ctx, source.URI, func(info backends.Info) error {
			path, err := source.path(info)
			if err == nil && (path == typed.Ref || len(refs) == 1 && strings.HasPrefix(path, typed.Ref+"/")) {
				refs = append(refs, info.Ref)
			}
			if len(refs) == 2 {
				return errEnough
			}
			return nil
		})
	}
	if len(refs) < 2 {
		return err
	}
	return &manifest.Error{
		Kind: manifest.KindInvalid, Op: "put", Ref: typed.Ref, Msg: typed.Msg + ": " + refs[0] + " and " + refs[1],
		Hint: "give the sources different names (NAME=URI)",
	}
}

var errEnough = errors.New("enough")
