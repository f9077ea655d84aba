package daemon

import (
	"context"
	"io"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/pinfs/pinfs/backends"
	"github.com/pinfs/pinfs/cache"
	"github.com/pinfs/pinfs/manifest"
)

// maxSchemes bounds the table of counters: schemes come from manifests.
const maxSchemes = 32

// source lets the cache ask a backend, and counts by scheme.
type source struct {
	backend backends.Backend
	redact  func(string) string

	mu       sync.Mutex // guards byScheme and what it points to
	byScheme map[string]*BackendStatus
}

var _ cache.Source = (*source)(nil)

func newSource(b backends.Backend, redact func(string) string) *source {
	return &source{backend: b, redact: redact, byScheme: map[string]*BackendStatus{}}
}

// Open streams a range of obj at its pin.
func (s *source) Open(ctx context.Context, obj manifest.Object, offset, length int64) (io.ReadCloser, cache.Described, error) {
	body, info, err := s.backend.Open(ctx, obj, offset, length)
	s.count(obj, 1, 0, err)
	if err != nil {
		return nil, cache.Described{}, err
	}
	return &countedBody{body, s, obj}, describe(info), nil
}

// Stat asks for obj at its pin.
func (s *source) Stat(ctx context.Context, obj manifest.Object) (cache.Described, error) {
	info, err := s.backend.Stat(ctx, obj)
	s.count(obj, 1, 0, err)
	return describe(info), err
}

func describe(info backends.Info) cache.Described {
	return cache.Described{Size: info.Size, Sums: info.Sums}
}

func (s *source) count(obj manifest.Object, requests, bytes int64, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	scheme := manifest.Scheme(obj.Ref)
	if obj.Ref == "" {
		scheme = string(manifest.SourceBlob)
	}
	b := s.counter(scheme)
	b.Requests += requests
	b.Bytes += bytes
	if err == nil || err == io.EOF || manifest.KindOf(err) == manifest.KindCanceled {
		return
	}
	now := time.Now().UTC()
	b.Errors++
	b.LastError, b.LastTime = s.redact(err.Error()), &now
}

// counter gives the counter of a scheme. mu is held.
func (s *source) counter(scheme string) *BackendStatus {
	b, ok := s.byScheme[scheme]
	if !ok && len(s.byScheme) >= maxSchemes {
		scheme = "other"
		b, ok = s.byScheme[scheme]
	}
	if !ok {
		b = &BackendStatus{Scheme: scheme}
		s.byScheme[scheme] = b
	}
	return b
}

// status gives the counters, by scheme.
func (s *source) status() []BackendStatus {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := make([]BackendStatus, 0, len(s.byScheme))
	for _, b := range s.byScheme {
		list = append(list, *b)
	}
	slices.SortFunc(list, func(a, b BackendStatus) int { return strings.Compare(a.Scheme, b.Scheme) })
	return list
}

// countedBody counts what a stream brings.
type countedBody struct {
	io.ReadCloser
	source *source
	obj    manifest.Object
}

func (b *countedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.source.count(b.obj, 0, int64(n), err)
	return n, err
}
