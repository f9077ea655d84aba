package memstore

import (
	"bytes"
	"crypto/md5"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/pinfs/pinfs/manifest"
)

// Store is a backend whose objects are in memory. Make one with New.
type Store struct {
	mu        sync.Mutex
	versioned bool
	closed    bool
	made      int64 // versions so far
	buckets   map[string]map[string][]version
	hook      Hook
	counts    Counts
}

// version is one version of a key; the last of a key is the current one.
type version struct {
	id      string // "null" without bucket versions
	etag    string
	data    []byte
	modTime time.Time
	deleted bool // a delete marker
}

// nullVersion is the id of versions made while versions are not kept.
const nullVersion = "null"

// New makes an empty store that keeps no versions.
func New() *Store {
	return &Store{buckets: map[string]map[string][]version{}}
}

// NewVersioned makes an empty store that keeps every version.
func NewVersioned() *Store {
	s := New()
	s.SetVersioned(true)
	return s
}

// SetVersioned tells whether versions are kept from now on; those that are there
// stay.
func (s *Store) SetVersioned(on bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.versioned = on
}

// Put makes or overwrites an object and gives its version id, "null" when none
// are kept. key is "bucket/key" or "mem://bucket/key"; data is copied.
func (s *Store) Put(key string, data []byte) string {
	sum := md5.Sum(data)
	return s.add(key, version{etag: hex.EncodeToString(sum[:]), data: bytes.Clone(data)})
}

// Delete deletes the current version: for good, or with a delete marker when
// versions are kept. It tells whether there was one.
func (s *Store) Delete(key string) bool {
	_, there := s.current(key)
	if there {
		s.add(key, version{deleted: true})
	}
	return there
}

// DeleteVersion deletes one version for good and tells whether there was one.
func (s *Store) DeleteVersion(key, id string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	bucket, name := split(key)
	all := s.buckets[bucket][name]
	i := slices.IndexFunc(all, func(v version) bool { return v.id == id })
	if i < 0 {
		return false
	}
	s.buckets[bucket][name] = slices.Delete(slices.Clone(all), i, i+1)
	return true
}

// MakeBucket makes an empty bucket; Put makes it too.
func (s *Store) MakeBucket(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.bucket(name)
}

func (s *Store) bucket(name string) map[string][]version {
	if s.buckets[name] == nil {
		s.buckets[name] = map[string][]version{}
	}
	return s.buckets[name]
}

// add appends v to its key. Without versions it takes the place of "null", as
// in a bucket whose versioning was suspended.
func (s *Store) add(key string, v version) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.made++
	v.id, v.modTime = nullVersion, time.Now()
	if s.versioned {
		v.id = fmt.Sprintf("v%06d", s.made)
	}
	name, key := split(key)
	bucket := s.bucket(name)
	old := bucket[key]
	if !s.versioned {
		old = slices.DeleteFunc(slices.Clone(old), func(o version) bool { return o.id == nullVersion })
	}
	if v.deleted && len(old) == 0 {
		delete(bucket, key)
		return v.id
	}
	bucket[key] = append(old, v)
	return v.id
}

func (s *Store) current(key string) (version, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	bucket, name := split(key)
	return last(s.buckets[bucket][name])
}

// last gives the current version unless it is a delete marker.
func last(all []version) (version, bool) {
	if len(all) == 0 || all[len(all)-1].deleted {
		return version{}, false
	}
	return all[len(all)-1], true
}

// versions gives all versions of a URI, oldest first, and whether its bucket is there.
func (s *Store) versions(uri string) ([]version, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	name, key := split(uri)
	bucket, ok := s.buckets[name]
	return bucket[key], ok
}

// split cuts "mem://bucket/key" or "bucket/key"; keys are taken byte for byte.
func split(uri string) (bucket, key string) {
	if manifest.Scheme(uri) == "mem" {
		uri = uri[len("mem://"):]
	}
	bucket, key, _ = strings.Cut(uri, "/")
	return bucket, key
}
