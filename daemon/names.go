package daemon

import (
	"context"
	pathpkg "path"

	"github.com/pinfs/pinfs/fusefs"
	"github.com/pinfs/pinfs/manifest"
	"github.com/pinfs/pinfs/registry"
	"github.com/pinfs/pinfs/registry/expand"
)

// names shows a registry to fusefs.
type names struct {
	registry *registry.Registry
	found    *expand.Expander // see openTree
}

var _ fusefs.Names = names{}

// Projects lists all projects.
func (n names) Projects(ctx context.Context) ([]string, error) { return n.registry.Projects(ctx) }

// Tree lists the versions and aliases of a project.
func (n names) Tree(ctx context.Context, project string) ([]fusefs.Listed, error) {
	artifacts, err := n.registry.Artifacts(ctx, project)
	if err != nil {
		return nil, err
	}
	var all []fusefs.Listed
	for _, a := range artifacts {
		versions, err := n.registry.Versions(ctx, project, a.Name)
		if manifest.KindOf(err) == manifest.KindNotFound {
			continue // removed since it was listed
		}
		if err != nil {
			return nil, err
		}
		for _, v := range versions {
			all = append(all, listed(v)...)
		}
	}
	return all, nil
}

// listed gives a version and its aliases.
func listed(v registry.Version) []fusefs.Listed {
	all := []fusefs.Listed{{Name: v.Name(), Digest: v.Snapshot}}
	for _, alias := range v.Aliases {
		all = append(all, fusefs.Listed{Name: v.Artifact + ":" + alias, Target: v.Name()})
	}
	return all
}

// Lookup finds one name. A name that the registry understands but does not list
// ("mnist", a digest) is no name of a directory.
func (n names) Lookup(ctx context.Context, project, name string) (fusefs.Listed, error) {
	v, err := n.resolve(ctx, project, name)
	if err != nil {
		return fusefs.Listed{}, err
	}
	for _, l := range listed(v) {
		if l.Name == name {
			return l, nil
		}
	}
	return fusefs.Listed{}, &manifest.Error{Kind: manifest.KindNotFound, Op: "find", Ref: project + "/" + name}
}

// Open opens the version that name stands for.
func (n names) Open(ctx context.Context, project, name string) (*fusefs.Tree, error) {
	v, err := n.resolve(ctx, project, name)
	if err != nil {
		return nil, err
	}
	return openTree(ctx, n.registry, v, n.found)
}

func (n names) resolve(ctx context.Context, project, name string) (registry.Version, error) {
	parsed, err := manifest.ParseName(name)
	if err != nil || parsed.Project != "" || project == "" {
		return registry.Version{}, &manifest.Error{Kind: manifest.KindNotFound, Op: "find", Ref: project + "/" + name, Err: err}
	}
	parsed.Project = project
	v, err := n.registry.Resolve(ctx, parsed)
	if manifest.KindOf(err) == manifest.KindInvalid {
		err = &manifest.Error{Kind: manifest.KindNotFound, Op: "find", Ref: project + "/" + name, Err: err}
	}
	return v, err
}

// openTree opens the snapshot of v, with its unpinned references as found has them;
// nil leaves them as they are. The caller closes it.
func openTree(ctx context.Context, r *registry.Registry, v registry.Version, found *expand.Expander) (*fusefs.Tree, error) {
	s, err := r.OpenSnapshot(ctx, v)
	if err != nil {
		return nil, err
	}
	t := &fusefs.Tree{Snapshot: s, Project: v.Project, Name: v.Name(), Digest: v.Snapshot, Created: v.Created}
	if found == nil || !found.Needed(s) {
		return t, nil
	}
	defer s.Close()
	if t.Snapshot, err = found.Open(ctx, s, v.Snapshot); err != nil {
		return nil, err
	}
	t.Unpinned = below(found.References(v.Snapshot))
	return t, nil
}

// below gives the function that finds the unpinned reference by which a path is
// in the tree.
func below(refs []expand.Reference) func(path string) string {
	byPath := map[string]string{}
	for _, r := range refs {
		byPath[r.Path] = r.Ref
	}
	return func(path string) string {
		for path != "." {
			if ref, ok := byPath[path]; ok {
				return ref
			}
			path = pathpkg.Dir(path)
		}
		return ""
	}
}
