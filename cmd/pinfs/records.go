package main

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/pinfs/pinfs/manifest"
	"github.com/pinfs/pinfs/registry"
)

// The JSON of names, versions and files; scripts rely on the fields.

type projectRecord struct {
	Project string `json:"project"`
}

type artifactRecord struct {
	Name     string `json:"name"` // project/artifact
	Type     string `json:"type"`
	Versions int    `json:"versions"` // how many
	Latest   string `json:"latest"`   // "v3"
}

type versionRecord struct {
	Name    string    `json:"name"`    // project/artifact
	Version string    `json:"version"` // "v3"
	Aliases []string  `json:"aliases"`
	Digest  string    `json:"digest"`
	Files   int64     `json:"files"`
	Size    int64     `json:"size"` // bytes
	Created time.Time `json:"created"`
}

type versionDetails struct {
	versionRecord
	Type        string          `json:"type"`
	Description string          `json:"description"`
	Metadata    json.RawMessage `json:"metadata"`
	Run         string          `json:"run"`
	By          string          `json:"by"`
}

type fileRecord struct {
	Path   string `json:"path"`
	Size   *int64 `json:"size"` // bytes; null when the manifest does not tell it
	Digest string `json:"digest"`
	Ref    string `json:"ref"`
	Pin    string `json:"pin"` // "version:ID", "etag:TAG", "md5:BASE64", "none"
	// Checksums are those recorded beside the digest, by algorithm, in hex.
	Checksums map[string]string `json:"checksums,omitempty"`
	// ChunkSize is that of the pieces that have digests, in bytes.
	ChunkSize int64 `json:"chunk_size,omitempty"`
	// Source is the reference that a copy was made of.
	Source string `json:"source,omitempty"`
}

func fullName(v registry.Version) string { return v.Project + "/" + v.Artifact }

func versionName(v registry.Version) string { return fmt.Sprintf("v%d", v.Index) }

func recordVersion(v registry.Version) versionRecord {
	return versionRecord{Name: fullName(v), Version: versionName(v), Aliases: noNull(v.Aliases),
		Digest: v.Digest, Files: v.Files, Size: v.Size, Created: v.Created}
}

func describeVersion(v registry.Version) versionDetails {
	d := versionDetails{versionRecord: recordVersion(v), Type: v.Type, Description: v.Description,
		Metadata: v.Metadata, Run: v.Run, By: v.By}
	if len(d.Metadata) == 0 {
		d.Metadata = json.RawMessage("{}")
	}
	return d
}

func recordFile(e manifest.Entry) fileRecord {
	obj := e.Object()
	r := fileRecord{Path: e.Path, Digest: e.Digest, Ref: e.Ref, Pin: obj.Pin.String(), ChunkSize: e.Chunks.Size}
	r.Source, _ = e.Extra[manifest.ExtraSource].(string)
	for _, sum := range obj.Sums() {
		if r.Checksums == nil {
			r.Checksums = map[string]string{}
		}
		r.Checksums[string(sum.Alg)] = hex.EncodeToString(sum.Value)
	}
	if e.Size != manifest.SizeUnknown {
		r.Size = &e.Size
	}
	return r
}

// isUnpinned is true for a reference of which nothing fixes the content.
func (f fileRecord) isUnpinned() bool { return f.Pin == manifest.Pin{}.String() && f.Ref != "" }

// checksumText gives the checksums for people: "crc32c:0a1b2c3d, md5:…".
func (f fileRecord) checksumText() string {
	var all []string
	for alg, sum := range f.Checksums {
		all = append(all, alg+":"+sum)
	}
	slices.Sort(all)
	return strings.Join(all, ", ")
}

// noNull makes an empty list of none, for JSON.
func noNull[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}

func recordArtifact(a registry.Artifact) artifactRecord {
	return artifactRecord{Name: a.Project + "/" + a.Name, Type: a.Type, Versions: a.Versions, Latest: versionName(a.Latest)}
}
