package registry

import (
	"context"

	"github.com/pinfs/pinfs/manifest"
)

// SetAlias makes aliases names of the version n. KindInvalid for "latest", which
// is the highest version always, and for names like v3.
func (r *Registry) SetAlias(ctx context.Context, n manifest.Name, aliases ...string) error {
	for _, alias := range aliases {
		if err := manifest.CheckAlias(alias); err != nil {
			return err
		}
	}
	v, err := r.Resolve(ctx, n)
	if err != nil {
		return err
	}
	if err := r.ensureFormat(ctx); err != nil {
		return err
	}
	return r.moveAliases(ctx, n, v.Index, r.by, aliases)
}

// RemoveAlias removes aliases of an artifact; the versions stay. KindNotFound,
// with near names, when one is not there: then none is removed.
func (r *Registry) RemoveAlias(ctx context.Context, project, artifact string, aliases ...string) error {
	n := manifest.Name{Project: project, Artifact: artifact}
	for _, alias := range aliases {
		if err := manifest.CheckAlias(alias); err != nil {
			return err
		}
		if err := r.mustHaveAlias(ctx, n, alias); err != nil {
			return err
		}
	}
	for _, alias := range sortedUnique(aliases) {
		if err := r.store.Delete(ctx, aliasKey(project, artifact, alias)); err != nil {
			return err
		}
	}
	return nil
}

func (r *Registry) mustHaveAlias(ctx context.Context, n manifest.Name, alias string) error {
	if err := checkKnown(n); err != nil {
		return err
	}
	_, _, err := r.store.Get(ctx, aliasKey(n.Project, n.Artifact, alias))
	if !isKind(err, manifest.KindNotFound) {
		return err
	}
	indexes, err := r.indexes(ctx, n.Project, n.Artifact)
	if err != nil {
		return err
	}
	if len(indexes) == 0 {
		return r.noArtifact(ctx, n)
	}
	n.Version = alias
	return r.noAlias(ctx, n, indexes)
}

// moveAliases points aliases to the version index. Each move is atomic; of
// concurrent ones the last wins.
func (r *Registry) moveAliases(ctx context.Context, n manifest.Name, index int, by string, aliases []string) error {
	for _, alias := range sortedUnique(aliases) {
		if alias == manifest.Latest {
			continue
		}
		if err := r.moveAlias(ctx, aliasKey(n.Project, n.Artifact, alias), index, by); err != nil {
			return err
		}
	}
	return nil
}

func (r *Registry) moveAlias(ctx context.Context, key string, index int, by string) error {
	data, err := encode(aliasRecord{Version: index, Moved: r.stamp(), By: by})
	if err != nil {
		return err
	}
	for lost := 0; ; lost++ {
		now, tag, err := read[aliasRecord](ctx, r.store, key)
		switch {
		case err == nil && now.Version == index:
			return nil
		case err == nil:
			err = r.store.PutIfUnchanged(ctx, key, data, tag)
		case isKind(err, manifest.KindNotFound):
			err = r.store.PutIfAbsent(ctx, key, data)
		}
		if !isKind(err, manifest.KindConflict) {
			return err
		}
		if err := pause(ctx, lost); err != nil {
			return err
		}
	}
}
