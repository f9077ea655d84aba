package main

import (
	"bufio"
	"fmt"
	"iter"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/pinfs/pinfs/manifest"
	"github.com/pinfs/pinfs/manifest/snapshot"
	"github.com/pinfs/pinfs/registry"
)

func (a *app) lsCommand() *cli.Command {
	return &cli.Command{
		Name:      "ls",
		Usage:     "lists projects, artifacts, versions or files",
		ArgsUsage: "[P | P/A | REF[/DIR]]",
		Description: `Without an argument the projects, of a project its artifacts, of an artifact its
versions, of a version (with ":") its files, or those below DIR. A single word is
a project if there is one of that name, else an artifact of --project.

Examples: pinfs ls; pinfs ls vision; pinfs ls vision/mnist; pinfs ls mnist:v3/train

JSON: a list of objects: project; or name, type, versions, latest; or name,
version, aliases, digest, files, size, created; or path, size, digest, ref, pin, and
where they were recorded checksums, chunk_size, source.`,
		Action: a.ls,
	}
}

func (a *app) ls(c *cli.Context) error {
	args, err := positional(c, 0, 1)
	if err != nil {
		return err
	}
	if len(args) == 1 && strings.Contains(args[0], ":") {
		return a.lsFiles(c, args[0])
	}
	r, err := a.registry(c)
	if err != nil {
		return err
	}
	defer r.Close()
	if len(args) == 0 {
		return a.lsProjects(c, r)
	}
	args[0] = strings.TrimSuffix(args[0], "/")
	if isWord(args[0]) {
		isProject, err := isProject(c, r, "ls", args[0])
		if err != nil {
			return err
		}
		if isProject {
			return a.lsArtifacts(c, r, args[0])
		}
	}
	return a.lsVersions(c, r, args[0])
}

func (a *app) lsProjects(c *cli.Context, r *registry.Registry) error {
	projects, err := r.Projects(c.Context)
	if err != nil {
		return err
	}
	if c.Bool(flagJSON) {
		records := []projectRecord{}
		for _, p := range projects {
			records = append(records, projectRecord{p})
		}
		return a.printJSON(records)
	}
	for _, p := range projects {
		fmt.Fprintln(a.stdout, oneLine(p))
	}
	return nil
}

func (a *app) lsArtifacts(c *cli.Context, r *registry.Registry, project string) error {
	artifacts, err := r.Artifacts(c.Context, project)
	if err != nil {
		return err
	}
	records := []artifactRecord{}
	for _, one := range artifacts {
		records = append(records, recordArtifact(one))
	}
	if c.Bool(flagJSON) {
		return a.printJSON(records)
	}
	t := a.table("NAME", "TYPE", "VERSIONS", "LATEST")
	for _, x := range records {
		t.row(x.Name, x.Type, fmt.Sprint(x.Versions), x.Latest)
	}
	return t.end()
}

func (a *app) lsVersions(c *cli.Context, r *registry.Registry, name string) error {
	n, err := parseArtifact(c, "ls", name)
	if err != nil {
		return err
	}
	versions, err := r.Versions(c.Context, n.Project, n.Artifact)
	if err != nil {
		return err
	}
	records := []versionRecord{}
	for _, v := range versions {
		records = append(records, recordVersion(v))
	}
	if c.Bool(flagJSON) {
		return a.printJSON(records)
	}
	t := a.table("VERSION", "ALIASES", "FILES", "SIZE", "CREATED", "DIGEST")
	for _, x := range records {
		t.row(x.Version, strings.Join(x.Aliases, ","), fmt.Sprint(x.Files), size(x.Size), when(x.Created), x.Digest)
	}
	return t.end()
}

// lsFiles prints while it walks: a version may hold millions of files.
func (a *app) lsFiles(c *cli.Context, name string) error {
	n, dir, err := parseNamePath(c, name)
	if err != nil {
		return err
	}
	o, err := a.open(c, n)
	if err != nil {
		return err
	}
	defer o.close()
	node, found, err := o.snap.Find(dir)
	if err == nil && !found {
		err = noSuchPath("ls", o.version, dir)
	}
	if err != nil {
		return err
	}
	files := filesBelow(c, o.snap, node)
	if c.Bool(flagJSON) {
		return a.printJSONList(files)
	}
	w := bufio.NewWriter(a.stdout)
	for file, err := range files {
		if err != nil {
			return err
		}
		f := file.(fileRecord)
		mark := ""
		if f.isUnpinned() {
			mark = "  (unpinned)"
		}
		fmt.Fprintf(w, "%10s  %s%s\n", fileSize(f.Size), oneLine(f.Path), mark)
	}
	return w.Flush()
}

// filesBelow gives a fileRecord for each file below a directory, or for the file.
func filesBelow(c *cli.Context, s *snapshot.Snapshot, top snapshot.Node) iter.Seq2[any, error] {
	return func(yield func(any, error) bool) {
		if !top.Dir {
			e, err := s.Entry(top.Index)
			yield(recordFile(e), err)
			return
		}
		for node, err := range s.Walk(top.Index) {
			if err == nil {
				err = c.Context.Err()
			}
			if err == nil && node.Dir {
				continue
			}
			var e manifest.Entry
			if err == nil {
				e, err = s.Entry(node.Index)
			}
			if !yield(recordFile(e), err) || err != nil {
				return
			}
		}
	}
}

func fileSize(n *int64) string {
	if n == nil {
		return size(manifest.SizeUnknown)
	}
	return size(*n)
}

func noSuchPath(op string, v registry.Version, path string) error {
	return &manifest.Error{Kind: manifest.KindNotFound, Op: op, Ref: fullName(v) + ":" + versionName(v) + "/" + path,
		Msg: "no such file or directory", Hint: "pinfs ls " + fullName(v) + ":" + versionName(v) + " lists them"}
}
