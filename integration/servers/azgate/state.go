package azgate

import (
	"slices"
	"strings"
	"sync"
)

// blob is what the gate knows of one blob: which of its snapshots are versions.
type blob struct {
	write sync.Mutex // held from a write to its snapshot

	// Guarded by Gate.mu:
	versions []version // oldest first
	current  string    // id; "" when the blob is deleted or was never written
	deleted  bool      // Azurite still has it, for the sake of its snapshots
}

// version is a snapshot that stands for a write.
type version struct {
	id   string // the snapshot's time
	etag string // of the write, with its quotes
}

// settle waits for the snapshot of a write that is under way.
func (b *blob) settle() {
	b.write.Lock()
	defer b.write.Unlock()
}

// blob gives the blob at "container/name".
func (g *Gate) blob(path string) *blob {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.blobs[path] == nil {
		g.blobs[path] = &blob{}
	}
	return g.blobs[path]
}

// forget drops what is known of a container that is deleted.
func (g *Gate) forget(container string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for path := range g.blobs {
		if strings.HasPrefix(path, container+"/") {
			delete(g.blobs, path)
		}
	}
}

// wrote makes the snapshot id the current version.
func (g *Gate) wrote(b *blob, id, etag string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	b.versions = append(b.versions, version{id, etag})
	b.current, b.deleted = id, false
}

// remove deletes a blob whose versions stay; false when there is none.
func (g *Gate) remove(b *blob) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if b.current == "" {
		return false
	}
	b.current, b.deleted = "", true
	return true
}

// drop removes a version for good.
func (g *Gate) drop(b *blob, id string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	b.versions = slices.DeleteFunc(b.versions, func(v version) bool { return v.id == id })
}

func (g *Gate) isDeleted(b *blob) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return b.deleted
}

// version says whether there is a version, and whether it is the current one.
func (g *Gate) version(b *blob, id string) (known, current bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return b.has(id), b.current == id
}

// has is for callers that hold Gate.mu.
func (b *blob) has(id string) bool {
	return slices.ContainsFunc(b.versions, func(v version) bool { return v.id == id })
}

// written gives the version whose write has this ETag, "" when there is none.
func (g *Gate) written(b *blob, etag string) (id string, current bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, v := range b.versions {
		if v.etag == etag {
			return v.id, v.id == b.current
		}
	}
	return "", false
}
