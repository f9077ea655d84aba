package daemon

import (
	"context"

	"github.com/pinfs/pinfs/fusefs"
	"github.com/pinfs/pinfs/manifest"
	"github.com/pinfs/pinfs/registry"
)

// names shows a registry to fusefs.
type names struct{ registry *registry.Registry }

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
	return openTree(ctx, n.registry, v)
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

// openTree opens the snapshot of v; the caller closes it.
func openTree(ctx context.Context, r *registry.Registry, v registry.Version) (*fusefs.Tree, error) {
	s, err := r.OpenSnapshot(ctx, v)
	if err != nil {
		return nil, err
	}
	return &fusefs.Tree{Snapshot: s, Project: v.Project, Name: v.Name(), Digest: v.Snapshot, Created: v.Created}, nil
}
