package manifest

import (
	"errors"
	"fmt"
	"io"
)

// Header is what a manifest holds besides its entries. The version is always 1.
type Header struct {
	StoragePolicy string
	// StoragePolicyConfig is decoded JSON as in Entry.Extra; nil when empty.
	StoragePolicyConfig map[string]any
}

// DefaultHeader is the header of manifests that pinfs itself makes: what W&B's
// SDK writes today.
func DefaultHeader() Header {
	return Header{
		StoragePolicy:       "wandb-storage-policy-v1",
		StoragePolicyConfig: map[string]any{"storageLayout": "V2"},
	}
}

// Decode reads a W&B manifest, version 1, as JSON and calls add for each entry in
// the order of the text. Memory does not grow with the number of entries.
//
// version, storagePolicy, storagePolicyConfig and contents are required, in any
// order: when contents comes first, add has been called by the time that a wrong
// version is seen, so the caller keeps nothing of a Decode that failed. Keys that
// are unknown are ignored. Entries are refused with their name: paths that
// CheckPath refuses, no digest, sizes that are no whole number, half surrogate
// pairs, keys given twice, more than 1 MiB of JSON or 64 levels in one. So is text
// that is not UTF-8, begins with a byte order mark or goes on behind the end. A
// path that occurs twice is not noticed here, since that would take the memory of
// all paths: whoever sorts the entries finds it.
//
// Errors are KindInvalid; those of add are returned as they are, those of r
// wrapped.
func Decode(r io.Reader, add func(Entry) error) (Header, error) {
	d := decoder{s: newScanner(r), add: add, seen: make(map[string]bool)}
	if err := d.start(); err != nil {
		return Header{}, err
	}
	if err := d.s.object(d.field); err != nil {
		return Header{}, err
	}
	if err := d.s.finish(); err != nil {
		return Header{}, err
	}
	for _, key := range []string{"version", "storagePolicy", "storagePolicyConfig", "contents"} {
		if !d.seen[key] {
			return Header{}, badManifest("", "key '"+key+"' is missing")
		}
	}
	return d.header, nil
}

type decoder struct {
	s      *scanner
	add    func(Entry) error
	header Header
	seen   map[string]bool
}

// start refuses what is not JSON in UTF-8 at the first look.
func (d *decoder) start() error {
	c, err := d.s.peek()
	switch {
	case err != nil:
		return err
	case c == 0xef || c == 0xfe || c == 0xff:
		return badManifest("", "begins with a byte order mark or is not UTF-8; save it as UTF-8 without one")
	case c != '{':
		return d.s.bad("not a manifest: expected '{' but found %q", rune(c))
	}
	return nil
}

// field reads the value of a key of the manifest.
func (d *decoder) field(key string) error {
	var read func() error
	switch key {
	case "version":
		read = d.version
	case "storagePolicy":
		read = d.policy
	case "storagePolicyConfig":
		read = d.config
	case "contents":
		read = d.contents
	default:
		return d.s.skip(2)
	}
	if d.seen[key] {
		return badManifest("", "key '"+key+"' occurs twice")
	}
	d.seen[key] = true
	return read()
}

func (d *decoder) version() error {
	raw, err := d.s.value()
	if err == nil && string(raw) != "1" {
		err = badManifest("", fmt.Sprintf("version %s is unknown; 1 is the only one known", clip(raw)))
	}
	return err
}

func (d *decoder) policy() error {
	raw, err := d.s.value()
	if err != nil {
		return err
	}
	if raw[0] != '"' {
		return badManifest("", "storagePolicy must be a string, not "+clip(raw))
	}
	if d.header.StoragePolicy, err = unquote(raw); err != nil {
		return badManifest("", "storagePolicy: "+err.Error())
	}
	return nil
}

func (d *decoder) config() error {
	raw, err := d.s.value()
	if err != nil {
		return err
	}
	if raw[0] != '{' {
		return badManifest("", "storagePolicyConfig must be an object, not "+clip(raw))
	}
	c := cursor{b: raw}
	if d.header.StoragePolicyConfig, err = c.attributes(); err != nil {
		return badManifest("", "storagePolicyConfig: "+err.Error())
	}
	return nil
}

func (d *decoder) contents() error {
	if c, err := d.s.peek(); err != nil {
		return err
	} else if c != '{' {
		return d.s.bad("contents must be an object")
	}
	return d.s.object(d.entry)
}

func (d *decoder) entry(path string) error {
	if err := CheckPath(path); err != nil {
		return err
	}
	raw, err := d.s.value()
	if err != nil {
		return within(path, err)
	}
	e, err := decodeEntry(path, raw)
	if err != nil {
		return err
	}
	return d.add(e)
}

// within names the entry in which the text is wrong.
func within(path string, err error) error {
	var e *Error
	if errors.As(err, &e) && e.Ref == "" {
		e.Ref = quotePath(path)
	}
	return err
}

// clip shortens JSON for a message.
func clip(raw []byte) string {
	const most = 60
	if len(raw) > most {
		return quotePath(string(raw[:most])) + "..."
	}
	return string(raw)
}
