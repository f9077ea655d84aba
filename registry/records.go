package registry

import (
	"bytes"
	"context"
	"encoding/json"
	"time"

	"github.com/pinfs/pinfs/manifest"
)

// formatRecord is pinfs-registry.json.
type formatRecord struct {
	Format  int       `json:"format"`
	Created time.Time `json:"created"`
}

// artifactRecord is artifact.json.
type artifactRecord struct {
	Type        string    `json:"type"`
	Description string    `json:"description,omitempty"`
	Created     time.Time `json:"created"`
}

// versionRecord is versions/<n>.json.
type versionRecord struct {
	Digest      string          `json:"digest"`
	Pins        string          `json:"pins,omitempty"` // see snapshot.Summary
	Snapshot    string          `json:"snapshot"`
	Type        string          `json:"type"`
	Size        int64           `json:"size"`
	Files       int64           `json:"files"`
	Created     time.Time       `json:"created"`
	By          string          `json:"by,omitempty"`
	Run         string          `json:"run,omitempty"`
	Description string          `json:"description,omitempty"`
	Metadata    json.RawMessage `json:"metadata,omitempty"`
	Deleted     *deletion       `json:"deleted,omitempty"`
}

// deletion marks a version whose number must not be used again.
type deletion struct {
	At time.Time `json:"at"`
	By string    `json:"by,omitempty"`
}

// aliasRecord is aliases/<alias>.json.
type aliasRecord struct {
	Version int       `json:"version"`
	Moved   time.Time `json:"moved"`
	By      string    `json:"by,omitempty"`
}

// encode gives the one text of a record: indented, and without HTML escapes, so
// that people can read it.
func encode(record any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	err := e.Encode(record)
	return b.Bytes(), err
}

// read decodes the record at key.
func read[T any](ctx context.Context, s Store, key string) (record T, tag Tag, err error) {
	data, tag, err := s.Get(ctx, key)
	if err != nil {
		return record, "", err
	}
	if err := json.Unmarshal(data, &record); err != nil {
		return record, "", &manifest.Error{Kind: manifest.KindCorrupt, Op: "read the registry", Ref: key, Err: err}
	}
	return record, tag, nil
}

// create writes a record that must not be there.
func create(ctx context.Context, s Store, key string, record any) error {
	data, err := encode(record)
	if err != nil {
		return &manifest.Error{Kind: manifest.KindInvalid, Op: "write the registry", Ref: key, Err: err}
	}
	return s.PutIfAbsent(ctx, key, data)
}
