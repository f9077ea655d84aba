package registry

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/pinfs/pinfs/manifest"
)

// Resolve finds the version that n names: by "vN", by an alias, by the digest of
// its manifest, or the latest when n.Version is empty. KindNotFound says what is
// missing and hints at near names; KindInvalid for what can't be a name.
func (r *Registry) Resolve(ctx context.Context, n manifest.Name) (Version, error) {
	if err := checkKnown(n); err != nil {
		return Version{}, err
	}
	indexes, err := r.indexes(ctx, n.Project, n.Artifact)
	if err != nil {
		return Version{}, err
	}
	if len(indexes) == 0 {
		return Version{}, r.noArtifact(ctx, n)
	}
	index, record, err := r.find(ctx, n, indexes)
	if err != nil {
		return Version{}, err
	}
	return r.complete(ctx, n, indexes, index, record)
}

// complete adds the aliases to a version that was found.
func (r *Registry) complete(ctx context.Context, n manifest.Name, indexes []int, index int, record versionRecord) (Version, error) {
	aliases, err := r.aliases(ctx, n.Project, n.Artifact)
	if err != nil {
		return Version{}, err
	}
	latest := index
	if index != indexes[len(indexes)-1] {
		if latest, _, err = r.latest(ctx, n.Project, n.Artifact, indexes); err != nil {
			return Version{}, err
		}
	}
	names := aliases[index]
	if index == latest {
		names = withLatest(names)
	}
	return record.version(n.Project, n.Artifact, index, names), nil
}

func (r *Registry) find(ctx context.Context, n manifest.Name, indexes []int) (int, versionRecord, error) {
	if n.Version == "" || n.Version == manifest.Latest {
		index, record, err := r.latest(ctx, n.Project, n.Artifact, indexes)
		if err == nil && index < 0 {
			err = missing(n, "all its versions were deleted", "")
		}
		return index, record, err
	}
	if index, ok := n.Index(); ok {
		return r.findIndex(ctx, n, indexes, index)
	}
	alias, _, err := read[aliasRecord](ctx, r.store, aliasKey(n.Project, n.Artifact, n.Version))
	if err == nil {
		return r.findIndex(ctx, n, indexes, alias.Version)
	}
	if !isKind(err, manifest.KindNotFound) {
		return 0, versionRecord{}, err
	}
	return r.findDigest(ctx, n, indexes)
}

func (r *Registry) findIndex(ctx context.Context, n manifest.Name, indexes []int, index int) (int, versionRecord, error) {
	if _, ok := slices.BinarySearch(indexes, index); !ok {
		return 0, versionRecord{}, missing(n, "no version "+versionText(index), "there "+spanText(indexes))
	}
	record, err := r.readVersion(ctx, n.Project, n.Artifact, index)
	return index, record, err
}

// findDigest looks through the versions, newest first.
func (r *Registry) findDigest(ctx context.Context, n manifest.Name, indexes []int) (int, versionRecord, error) {
	if !isDigest(n.Version) {
		return 0, versionRecord{}, r.noAlias(ctx, n, indexes)
	}
	for _, index := range slices.Backward(indexes) {
		record, err := r.readVersion(ctx, n.Project, n.Artifact, index)
		if err == nil && record.Digest == n.Version {
			return index, record, nil
		}
		if err != nil && !isKind(err, manifest.KindNotFound) {
			return 0, versionRecord{}, err
		}
	}
	return 0, versionRecord{}, r.noAlias(ctx, n, indexes)
}

// isDigest tells whether s can be the digest of a manifest: MD5 in lower-case hex.
func isDigest(s string) bool {
	return len(s) == 32 && strings.Trim(s, "0123456789abcdef") == ""
}

func missing(n manifest.Name, msg, hint string) error {
	return &manifest.Error{Kind: manifest.KindNotFound, Op: "find", Ref: n.String(), Msg: msg, Hint: hint}
}

func (r *Registry) noAlias(ctx context.Context, n manifest.Name, indexes []int) error {
	aliases, err := r.aliases(ctx, n.Project, n.Artifact)
	if err != nil {
		return err
	}
	names := []string{manifest.Latest}
	for _, some := range aliases {
		names = append(names, some...)
	}
	hint := nearHint(n.Version, names)
	if hint == "" {
		hint = "there " + spanText(indexes)
	}
	return missing(n, "no alias '"+n.Version+"'", hint)
}

// noArtifact says whether the project or the artifact is missing.
func (r *Registry) noArtifact(ctx context.Context, n manifest.Name) error {
	artifacts, err := r.folders(ctx, projectsPrefix+n.Project+"/")
	if err != nil {
		return err
	}
	if len(artifacts) > 0 {
		return missing(n, fmt.Sprintf("no artifact '%s' in project '%s'", n.Artifact, n.Project), nearHint(n.Artifact, artifacts))
	}
	return r.noProject(ctx, n)
}

func (r *Registry) noProject(ctx context.Context, n manifest.Name) error {
	projects, err := r.folders(ctx, projectsPrefix)
	if err != nil {
		return err
	}
	return missing(n, "no project '"+n.Project+"'", nearHint(n.Project, projects))
}

func nearHint(name string, names []string) string {
	near := manifest.Near(name, names)
	if len(near) == 0 {
		return ""
	}
	return "did you mean " + strings.Join(near, ", ") + "?"
}

// spanText says which versions there are: "is v0", "are v0…v3".
func spanText(indexes []int) string {
	first, last := indexes[0], indexes[len(indexes)-1]
	if first == last {
		return "is " + versionText(first)
	}
	return "are " + versionText(first) + "…" + versionText(last)
}
