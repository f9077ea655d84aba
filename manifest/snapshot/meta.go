package snapshot

import (
	"bytes"
	"encoding/json"
	"fmt"

	"github.com/pinfs/pinfs/manifest"
)

// Meta is what a manifest says beside its entries.
type Meta struct {
	// Header is that of the manifest's JSON. Numbers in its config come back as
	// json.Number.
	Header manifest.Header
	// ExactSizes: a size of 0 means empty, never unknown. put sets it, import does
	// not, since W&B's Go client writes 0 for unknown.
	ExactSizes bool
}

// metaJSON is the section meta; the order of its fields is that of the file.
type metaJSON struct {
	ExactSizes          bool           `json:"exactSizes"`
	StoragePolicy       string         `json:"storagePolicy"`
	StoragePolicyConfig map[string]any `json:"storagePolicyConfig"`
}

func encodeMeta(m Meta) ([]byte, error) {
	raw, err := compactJSON(metaJSON{m.ExactSizes, m.Header.StoragePolicy, m.Header.StoragePolicyConfig})
	if err != nil {
		return nil, &manifest.Error{Kind: manifest.KindInvalid, Op: "build snapshot", Msg: "storagePolicyConfig is no JSON", Err: err}
	}
	if len(raw) > maxMeta {
		return nil, &manifest.Error{
			Kind: manifest.KindLimit, Op: "build snapshot",
			Msg: fmt.Sprintf("storagePolicyConfig is longer than %d bytes", maxMeta),
		}
	}
	return raw, nil
}

func decodeMeta(raw []byte) (Meta, error) {
	var m metaJSON
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	if err := d.Decode(&m); err != nil {
		return Meta{}, fmt.Errorf("section meta: %w", err)
	}
	return Meta{
		Header:     manifest.Header{StoragePolicy: m.StoragePolicy, StoragePolicyConfig: m.StoragePolicyConfig},
		ExactSizes: m.ExactSizes,
	}, nil
}

// compactJSON gives v as JSON in one line, keys of maps sorted, nothing escaped
// that need not be.
func compactJSON(v any) ([]byte, error) {
	var buf bytes.Buffer
	e := json.NewEncoder(&buf)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(buf.Bytes(), []byte("\n")), nil
}
