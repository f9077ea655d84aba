package main

import (
	"errors"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/pinfs/pinfs/backends/blobstore"
	"github.com/pinfs/pinfs/manifest"
	"github.com/pinfs/pinfs/manifest/snapshot"
	"github.com/pinfs/pinfs/registry"
)

// project is the project of names that have none.
func project(c *cli.Context) string {
	if p := c.String(flagProject); p != "" {
		return p
	}
	return manifest.DefaultProject
}

// parseName reads [project/]artifact[:version] and fills in the project.
func parseName(c *cli.Context, text string) (manifest.Name, error) {
	n, err := manifest.ParseName(text)
	if err != nil {
		return n, err
	}
	if n.Project == "" {
		n.Project = project(c)
		err = manifest.CheckProject(n.Project)
	}
	return n, err
}

// parseNamePath reads [project/]artifact[:version][/path].
func parseNamePath(c *cli.Context, text string) (manifest.Name, string, error) {
	n, path, err := manifest.ParseNamePath(text)
	if err == nil && n.Project == "" {
		n.Project = project(c)
		err = manifest.CheckProject(n.Project)
	}
	return n, path, err
}

// parseArtifact reads [project/]artifact, for what makes or names no version.
func parseArtifact(c *cli.Context, op, text string) (manifest.Name, error) {
	n, err := parseName(c, text)
	if err == nil && n.Version != "" {
		err = usage(op, text, "a name without a version is wanted here", "leave out :"+n.Version)
	}
	return n, err
}

// isWord is true for a single word, which may be a project or an artifact.
func isWord(text string) bool { return !strings.ContainsAny(text, "/:") }

// isProject decides what a single word means: a project if there is one of that
// name, else an artifact of the default project. Neither: an error with the
// nearest names of both.
func isProject(c *cli.Context, r *registry.Registry, op, word string) (bool, error) {
	projects, err := r.Projects(c.Context)
	if err != nil {
		return false, err
	}
	var artifacts []string
	for _, p := range projects {
		if p == word {
			return true, nil
		}
		if p != project(c) {
			continue
		}
		list, err := r.Artifacts(c.Context, p)
		if err != nil {
			return false, err
		}
		for _, a := range list {
			if a.Name == word {
				return false, nil
			}
			artifacts = append(artifacts, a.Name)
		}
	}
	return false, noSuchWord(c, op, word, projects, artifacts)
}

func noSuchWord(c *cli.Context, op, word string, projects, artifacts []string) error {
	hint := didYouMean(word, "the project ", projects)
	if hint == "" {
		hint = didYouMean(word, "the artifact "+project(c)+"/", artifacts)
	}
	return &manifest.Error{Kind: manifest.KindNotFound, Op: op, Ref: word,
		Msg:  "neither a project nor an artifact of the project " + project(c),
		Hint: hint + "pinfs ls lists the projects"}
}

// opened is a version with its snapshot, for commands that read one.
type opened struct {
	registry *registry.Registry
	version  registry.Version
	snap     *snapshot.Snapshot
}

// open finds the version of n and maps its snapshot.
func (a *app) open(c *cli.Context, n manifest.Name) (*opened, error) {
	o := &opened{}
	var err error
	if o.registry, err = a.registry(c); err != nil {
		return nil, err
	}
	if o.version, err = o.registry.Resolve(c.Context, n); err != nil {
		return nil, errors.Join(err, o.registry.Close())
	}
	if o.snap, err = o.registry.OpenSnapshot(c.Context, o.version); err != nil {
		return nil, errors.Join(err, o.registry.Close())
	}
	return o, nil
}

// copies are the contents that the version's registry keeps.
func (o *opened) copies() *blobstore.Finders {
	f := &blobstore.Finders{}
	f.Add(o.registry.Blob)
	return f
}

func (o *opened) close() { _, _ = o.snap.Close(), o.registry.Close() }

// openArg is open for the only argument of a command.
func (a *app) openArg(c *cli.Context) (*opened, error) {
	args, err := positional(c, 1, 1)
	if err != nil {
		return nil, err
	}
	n, err := parseName(c, args[0])
	if err != nil {
		return nil, err
	}
	return a.open(c, n)
}
