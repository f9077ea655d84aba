package registry

import (
	"bytes"
	"context"
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/pinfs/pinfs/manifest"
)

// Version is one version of an artifact as the registry records it.
type Version struct {
	Project  string
	Artifact string
	Type     string
	Index    int    // 3 for v3
	Digest   string // of the manifest, hex
	Pins     string // see snapshot.Summary; "" for most
	Snapshot string // SHA-256 of the snapshot file, hex
	Files    int64
	Size     int64 // bytes, of the files whose size is known
	Created  time.Time
	By       string
	Run      string
	// Description is free text, Metadata a JSON object or nil.
	Description string
	Metadata    json.RawMessage
	// Aliases are sorted and hold manifest.Latest where it applies.
	Aliases []string
}

// Name gives the name without the project: "mnist:v3".
func (v Version) Name() string { return v.Artifact + ":" + versionText(v.Index) }

func versionText(index int) string { return "v" + strconv.Itoa(index) }

// version gives a record the form that callers see. Metadata loses the indentation
// that its file has.
func (c versionRecord) version(project, artifact string, index int, aliases []string) Version {
	v := Version{
		Project: project, Artifact: artifact, Type: c.Type, Index: index, Digest: c.Digest, Pins: c.Pins, Snapshot: c.Snapshot,
		Files: c.Files, Size: c.Size, Created: c.Created, By: c.By, Run: c.Run, Description: c.Description, Aliases: aliases,
	}
	var compact bytes.Buffer
	if len(c.Metadata) > 0 && json.Compact(&compact, c.Metadata) == nil {
		v.Metadata = compact.Bytes()
	}
	return v
}

// readVersion gives the record of a version; KindNotFound also when it was deleted.
func (r *Registry) readVersion(ctx context.Context, project, artifact string, index int) (versionRecord, error) {
	record, _, err := read[versionRecord](ctx, r.store, versionKey(project, artifact, index))
	if err == nil && record.Deleted != nil {
		err = &manifest.Error{Kind: manifest.KindNotFound, Op: "find", Ref: project + "/" + artifact + ":" + versionText(index), Msg: "the version was deleted"}
	}
	return record, err
}

// latest finds the highest of indexes that is not deleted; -1 when there is none.
func (r *Registry) latest(ctx context.Context, project, artifact string, indexes []int) (int, versionRecord, error) {
	for _, index := range slices.Backward(indexes) {
		record, err := r.readVersion(ctx, project, artifact, index)
		if !isKind(err, manifest.KindNotFound) {
			return index, record, err
		}
	}
	return -1, versionRecord{}, nil
}

// aliases reads where all aliases of an artifact point, sorted by alias.
func (r *Registry) aliases(ctx context.Context, project, artifact string) (map[int][]string, error) {
	all := map[int][]string{}
	for name, err := range r.store.List(ctx, aliasesPrefix(project, artifact)) {
		if err != nil {
			return nil, err
		}
		alias, ok := strings.CutSuffix(name, recordSuffix)
		if !ok {
			continue
		}
		record, _, err := read[aliasRecord](ctx, r.store, aliasKey(project, artifact, alias))
		switch {
		case isKind(err, manifest.KindNotFound): // removed since it was listed
		case err != nil:
			return nil, err
		default:
			all[record.Version] = append(all[record.Version], alias)
		}
	}
	for _, names := range all {
		slices.Sort(names)
	}
	return all, nil
}

// withLatest adds the alias that is never stored.
func withLatest(aliases []string) []string {
	all := append(slices.Clone(aliases), manifest.Latest)
	slices.Sort(all)
	return all
}
