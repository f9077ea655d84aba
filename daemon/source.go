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
	outages *Outages

	mu       sync.Mutex // guards byScheme and what it points to
	byScheme map[string]*counter
}

// counter counts what was asked of one scheme, whose references are of one source
// nearly always: of the one that was asked first.
type counter struct {
	BackendStatus
	source manifest.Source
}

// measured is a Backend that tells how its wrappers do, such as backends.Mux.
type measured interface {
	Stats(manifest.Source) (backends.Stats, bool)
}

var _ cache.Source = (*source)(nil)

func newSource(b backends.Backend, redact func(string) string, outages *Outages) *source {
	return &source{backend: b, redact: redact, outages: outages, byScheme: map[string]*counter{}}
}

// Open streams a range of obj at its pin.
func (s *source) Open(ctx context.Context, obj manifest.Object, offset, length int64) (io.ReadCloser, cache.Described, error) {
	body, info, err := s.backend.Open(ctx, obj, offset, length)
	s.count(obj, 1, 0, err)
	if err != nil {
		return nil, cache.Described{}, err
	}
	s.outages.answered(obj.Ref)
	return &countedBody{ReadCloser: body, source: s, obj: obj}, describe(info), nil
}

// Stat asks for obj at its pin.
func (s *source) Stat(ctx context.Context, obj manifest.Object) (cache.Described, error) {
	info, err := s.backend.Stat(ctx, obj)
	s.count(obj, 1, 0, err)
	if err == nil {
		s.outages.answered(obj.Ref)
	}
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
	b := s.counter(scheme, obj.Ref)
	b.Requests += requests
	b.Bytes += bytes
	if err == nil || err == io.EOF || manifest.KindOf(err) == manifest.KindCanceled {
		return
	}
	now := time.Now().UTC()
	b.Errors++
	b.LastError, b.LastTime = s.redact(err.Error()), &now
}

// counter gives the counter of ref's scheme. mu is held.
func (s *source) counter(scheme, ref string) *counter {
	b, ok := s.byScheme[scheme]
	if !ok && len(s.byScheme) >= maxSchemes {
		scheme = "other"
		b, ok = s.byScheme[scheme]
	}
	if !ok {
		b = &counter{BackendStatus{Scheme: scheme}, manifest.SourceOf(ref)}
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
		list = append(list, s.measure(b))
	}
	slices.SortFunc(list, func(a, b BackendStatus) int { return strings.Compare(a.Scheme, b.Scheme) })
	return list
}

// measure adds to b what the wrappers of its source tell. mu is held.
func (s *source) measure(b *counter) BackendStatus {
	status := b.BackendStatus
	m, ok := s.backend.(measured)
	if !ok {
		return status
	}
	if now, ok := m.Stats(b.source); ok {
		status.Limit, status.InFlight, status.Waiting = now.Limit, now.InFlight, now.Waiting
		status.Throttled, status.Retries = now.Throttled, now.Retries
		status.Hedged, status.HedgeWon = now.Hedged, now.HedgeWon
	}
	return status
}

// countedBody counts what a stream brings, at its end: a stream is read in many
// small pieces, from one goroutine.
type countedBody struct {
	io.ReadCloser
	source *source
	obj    manifest.Object
	bytes  int64
}

// Read counts an error at once.
func (b *countedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.bytes += int64(n)
	if err != nil {
		b.told(err)
	}
	return n, err
}

// Close counts what came since.
func (b *countedBody) Close() error {
	b.told(nil)
	return b.ReadCloser.Close()
}

func (b *countedBody) told(err error) {
	b.source.count(b.obj, 0, b.bytes, err)
	b.bytes = 0
}
