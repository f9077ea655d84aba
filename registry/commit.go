package registry

import (
	"context"
	"encoding/json"
	"fmt"
	"hash/maphash"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/pinfs/pinfs/manifest"
	"github.com/pinfs/pinfs/manifest/snapshot"
)

// Limits of what a version may carry, in bytes.
const (
	MaxMetadata    = 1 << 20
	MaxDescription = 64 << 10
	maxShortText   = 1 << 10 // By and Run
)

// Commit is a version to be made.
type Commit struct {
	Project, Artifact, Type string
	Description             string
	By, Run                 string
	Metadata                json.RawMessage // a JSON object or nil
	Aliases                 []string        // to move to the version; manifest.Latest goes without saying
	SnapshotPath            string          // local file, best in a folder of MakeTemp
	Summary                 snapshot.Summary
	// Richer, if set, is asked of a latest version with the same digest and pins: true makes
	// a new version all the same, since this one records more of the same contents.
	Richer func(ctx context.Context, latest Version) (bool, error)
}

func (c Commit) name() manifest.Name { return manifest.Name{Project: c.Project, Artifact: c.Artifact} }

// Commit makes a version, or finds that the latest has the same digest and pins
// already (isNew is false). The aliases move in both cases. It may be repeated
// after any failure. KindInvalid: a bad name or text, or another type than the
// artifact's.
func (r *Registry) Commit(ctx context.Context, c Commit) (v Version, isNew bool, err error) {
	if err := c.check(); err != nil {
		return Version{}, false, err
	}
	if err := r.ensureFormat(ctx); err != nil {
		return Version{}, false, err
	}
	index, isNew, err := r.number(ctx, c)
	if err != nil {
		return Version{}, false, err
	}
	if err := r.describe(ctx, c); err != nil {
		return Version{}, false, err
	}
	n := c.name()
	n.Version = versionText(index)
	if err := r.moveAliases(ctx, n, index, c.By, c.Aliases); err != nil {
		return Version{}, false, err
	}
	v, err = r.Resolve(ctx, n)
	return v, isNew, err
}

// Check tells whether Commit would take c, before its snapshot is built. It looks
// at the names, the texts, and the type of the artifact.
func (r *Registry) Check(ctx context.Context, c Commit) error {
	if err := c.check(); err != nil {
		return err
	}
	_, _, _, err := r.look(ctx, c)
	return err
}

// Preview gives what Commit would give now, and writes nothing. c needs no
// SnapshotPath. Aliases are those that the version has, not those to be moved.
func (r *Registry) Preview(ctx context.Context, c Commit) (v Version, isNew bool, err error) {
	if err := c.check(); err != nil {
		return Version{}, false, err
	}
	latest, next, same, err := r.look(ctx, c)
	if err != nil {
		return Version{}, false, err
	}
	if !same {
		return r.record(c).version(c.Project, c.Artifact, next, nil), true, nil
	}
	n := c.name()
	n.Version = versionText(latest)
	v, err = r.Resolve(ctx, n)
	return v, false, err
}

func (c Commit) check() error {
	if err := checkNew(c.Project, c.Artifact); err != nil {
		return err
	}
	if err := manifest.CheckType(c.Type); err != nil {
		return err
	}
	for _, alias := range c.Aliases {
		if alias == manifest.Latest {
			continue
		}
		if err := manifest.CheckAlias(alias); err != nil {
			return err
		}
	}
	return c.checkTexts()
}

func (c Commit) checkTexts() error {
	for _, text := range []struct {
		what      string
		size, max int
	}{
		{"the description", len(c.Description), MaxDescription}, {"the metadata", len(c.Metadata), MaxMetadata},
		{"the run", len(c.Run), maxShortText}, {"the author", len(c.By), maxShortText},
	} {
		if text.size > text.max {
			return c.invalid(fmt.Sprintf("%s has %d bytes, the limit is %d", text.what, text.size, text.max))
		}
	}
	var object map[string]json.RawMessage
	if len(c.Metadata) > 0 && (json.Unmarshal(c.Metadata, &object) != nil || object == nil) {
		return c.invalid("the metadata is not a JSON object")
	}
	return nil
}

func (c Commit) invalid(msg string) error {
	return &manifest.Error{Kind: manifest.KindInvalid, Op: "commit", Ref: c.name().String(), Msg: msg}
}

// number finds the version with c's digest and pins or creates it. The snapshot is stored
// before a number is fought for, since storing can take long.
func (r *Registry) number(ctx context.Context, c Commit) (index int, isNew bool, err error) {
	latest, _, same, err := r.look(ctx, c)
	if err != nil || same {
		return latest, false, err
	}
	if err := r.store.PutFile(ctx, snapshotKey(c.Summary.SHA256), c.SnapshotPath); err != nil {
		return 0, false, err
	}
	slot := r.slot(c)
	select {
	case slot <- struct{}{}:
		defer func() { <-slot }()
	case <-ctx.Done():
		return 0, false, ctxError(ctx, "commit", c.name().String())
	}
	for lost := 0; ; lost++ {
		latest, next, same, err := r.look(ctx, c)
		if err != nil || same {
			return latest, false, err
		}
		err = create(ctx, r.store, versionKey(c.Project, c.Artifact, next), r.record(c))
		if !isKind(err, manifest.KindConflict) {
			return next, err == nil, err
		}
		if err := pause(ctx, lost); err != nil {
			return 0, false, err
		}
	}
}

// look finds the latest version and says whether it is what c would make, and
// which number is the next. Records from before there were pins have none.
func (r *Registry) look(ctx context.Context, c Commit) (latest, next int, same bool, err error) {
	indexes, err := r.indexes(ctx, c.Project, c.Artifact)
	if err != nil || len(indexes) == 0 {
		return -1, 0, false, err
	}
	next = indexes[len(indexes)-1] + 1
	latest, record, err := r.latest(ctx, c.Project, c.Artifact, indexes)
	if err != nil || latest < 0 {
		return latest, next, false, err
	}
	if record.Type != c.Type {
		err = &manifest.Error{
			Kind: manifest.KindInvalid, Op: "commit", Ref: c.name().String(), Msg: "the artifact has another type",
			Expected: record.Type, Found: c.Type, Hint: "choose another name or the same type",
		}
	}
	return latest, next, record.Digest == c.Summary.Digest && record.Pins == c.Summary.Pins, err
}

func (r *Registry) record(c Commit) versionRecord {
	return versionRecord{
		Digest: c.Summary.Digest, Pins: c.Summary.Pins, Snapshot: c.Summary.SHA256, Type: c.Type, Size: c.Summary.Bytes, Files: c.Summary.Files,
		Created: r.stamp(), By: c.By, Run: c.Run, Description: c.Description, Metadata: c.Metadata,
	}
}

// describe writes artifact.json with the facts of the first version, unless it is
// there.
func (r *Registry) describe(ctx context.Context, c Commit) error {
	key := artifactKey(c.Project, c.Artifact)
	_, _, err := r.store.Get(ctx, key)
	if !isKind(err, manifest.KindNotFound) {
		return err
	}
	err = create(ctx, r.store, key, artifactRecord{Type: c.Type, Created: r.stamp()})
	if isKind(err, manifest.KindConflict) {
		return nil
	}
	return err
}

// maxPause is the longest wait between two attempts to get a number.
const maxPause = 200 * time.Millisecond

// pause waits a random time that grows with the number of lost races. Each lost
// race is a version that somebody else made, so the whole moves on.
func pause(ctx context.Context, lost int) error {
	limit := min(time.Millisecond<<min(lost, 10), maxPause)
	select {
	case <-time.After(rand.N(limit)):
		return nil
	case <-ctx.Done():
		return ctxError(ctx, "commit", "")
	}
}

// slot is the place where committers of one artifact queue.
func (r *Registry) slot(c Commit) chan struct{} {
	h := maphash.String(r.seed, c.name().String())
	return r.numbering[h%uint64(len(r.numbering))]
}

func sortedUnique(names []string) []string {
	all := slices.Clone(names)
	slices.Sort(all)
	return slices.Compact(all)
}
