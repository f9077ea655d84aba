package registry

import (
	"context"
	"slices"

	"golang.org/x/sync/errgroup"

	"github.com/pinfs/pinfs/manifest"
)

// parallelReads is how many records are read at once for lists.
const parallelReads = 16

// Artifact is what lists show of an artifact.
type Artifact struct {
	Project, Name, Type string
	Versions            int // numbers given so far
	Latest              Version
}

// Projects lists the projects, sorted.
func (r *Registry) Projects(ctx context.Context) ([]string, error) {
	return r.folders(ctx, projectsPrefix)
}

// Artifacts lists the artifacts of a project with their latest versions, sorted by
// name. KindNotFound with near names when there is no such project.
func (r *Registry) Artifacts(ctx context.Context, project string) ([]Artifact, error) {
	n := manifest.Name{Project: project, Artifact: "*"}
	if err := checkKnown(n); err != nil {
		return nil, err
	}
	names, err := r.folders(ctx, projectsPrefix+project+"/")
	if err != nil {
		return nil, err
	}
	if len(names) == 0 {
		return nil, r.noProject(ctx, n)
	}
	all := make([]Artifact, len(names))
	err = parallel(ctx, len(names), func(ctx context.Context, i int) (err error) {
		all[i], err = r.artifact(ctx, project, names[i])
		return err
	})
	gone := func(a Artifact) bool { return a.Versions == 0 }
	return slices.DeleteFunc(all, gone), err
}

// artifact gives no Versions for one without any that is not deleted.
func (r *Registry) artifact(ctx context.Context, project, name string) (Artifact, error) {
	a := Artifact{Project: project, Name: name}
	indexes, err := r.indexes(ctx, project, name)
	if err != nil {
		return a, err
	}
	index, record, err := r.latest(ctx, project, name, indexes)
	if err != nil || index < 0 {
		return a, err
	}
	aliases, err := r.aliases(ctx, project, name)
	if err != nil {
		return a, err
	}
	a.Type, a.Versions = record.Type, len(indexes)
	a.Latest = record.version(project, name, index, withLatest(aliases[index]))
	return a, nil
}

// Versions lists the versions of an artifact, ascending. KindNotFound as for
// Resolve.
func (r *Registry) Versions(ctx context.Context, project, artifact string) ([]Version, error) {
	n := manifest.Name{Project: project, Artifact: artifact}
	if err := checkKnown(n); err != nil {
		return nil, err
	}
	indexes, err := r.indexes(ctx, project, artifact)
	if err != nil {
		return nil, err
	}
	if len(indexes) == 0 {
		return nil, r.noArtifact(ctx, n)
	}
	aliases, err := r.aliases(ctx, project, artifact)
	if err != nil {
		return nil, err
	}
	all := make([]Version, len(indexes))
	err = parallel(ctx, len(indexes), func(ctx context.Context, i int) error {
		record, err := r.readVersion(ctx, project, artifact, indexes[i])
		if isKind(err, manifest.KindNotFound) {
			return nil
		}
		all[i] = record.version(project, artifact, indexes[i], aliases[indexes[i]])
		return err
	})
	all = slices.DeleteFunc(all, func(v Version) bool { return v.Digest == "" })
	if err == nil && len(all) > 0 {
		last := &all[len(all)-1]
		last.Aliases = withLatest(last.Aliases)
	}
	return all, err
}

// parallel calls fn for 0…n-1, some at once.
func parallel(ctx context.Context, n int, fn func(ctx context.Context, i int) error) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(parallelReads)
	for i := range n {
		g.Go(func() error { return fn(ctx, i) })
	}
	return g.Wait()
}
