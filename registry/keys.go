package registry

import (
	"context"
	"slices"
	"strconv"
	"strings"

	"github.com/pinfs/pinfs/manifest"
)

const (
	formatKey      = "pinfs-registry.json"
	projectsPrefix = "projects/"
	recordSuffix   = ".json"
)

func artifactPrefix(project, artifact string) string {
	return projectsPrefix + project + "/" + artifact + "/"
}

func artifactKey(project, artifact string) string {
	return artifactPrefix(project, artifact) + "artifact.json"
}

func versionsPrefix(project, artifact string) string {
	return artifactPrefix(project, artifact) + "versions/"
}

func versionKey(project, artifact string, index int) string {
	return versionsPrefix(project, artifact) + strconv.Itoa(index) + recordSuffix
}

func aliasesPrefix(project, artifact string) string {
	return artifactPrefix(project, artifact) + "aliases/"
}

func aliasKey(project, artifact, alias string) string {
	return aliasesPrefix(project, artifact) + alias + recordSuffix
}

func snapshotKey(sha256 string) string { return "snapshots/" + sha256 }

// indexOf gives the version of a name in versions/; false for foreign files.
func indexOf(name string) (int, bool) {
	digits, ok := strings.CutSuffix(name, recordSuffix)
	if !ok {
		return 0, false
	}
	n, err := strconv.Atoi(digits)
	return n, err == nil && n >= 0 && strconv.Itoa(n) == digits
}

// indexes lists the versions of an artifact, deleted ones too, ascending.
func (r *Registry) indexes(ctx context.Context, project, artifact string) ([]int, error) {
	var all []int
	for name, err := range r.store.List(ctx, versionsPrefix(project, artifact)) {
		if err != nil {
			return nil, err
		}
		if n, ok := indexOf(name); ok {
			all = append(all, n)
		}
	}
	slices.Sort(all)
	return all, nil
}

// folders lists the folders below prefix, sorted.
func (r *Registry) folders(ctx context.Context, prefix string) ([]string, error) {
	var all []string
	for name, err := range r.store.List(ctx, prefix) {
		if err != nil {
			return nil, err
		}
		if folder, ok := strings.CutSuffix(name, "/"); ok {
			all = append(all, folder)
		}
	}
	slices.Sort(all)
	return all, nil
}

// checkNew refuses names that a new artifact can't have.
func checkNew(project, artifact string) error {
	if err := manifest.CheckProject(project); err != nil {
		return err
	}
	return manifest.CheckArtifact(artifact)
}

// checkKnown refuses what can't be a name anywhere. It is wider than checkNew, so
// that an odd name is one that is not there, with a hint, and not a wrong one.
func checkKnown(n manifest.Name) error {
	if n.Project == "" {
		return &manifest.Error{Kind: manifest.KindInvalid, Op: "find", Ref: n.String(), Msg: "the name has no project"}
	}
	_, err := manifest.ParseName(n.String())
	return err
}
