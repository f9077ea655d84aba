package backendtest

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
)

// Scripted is an HTTP server that answers as a test scripts it, and records
// requests. Real servers are the integration tests' matter; this is for the unit
// tests of drivers, and what real servers can't be made to do.
type Scripted struct {
	*httptest.Server
	mu   sync.Mutex
	seen []*http.Request // guarded by mu
}

// NewScripted starts a server that ends with the test.
func NewScripted(t testing.TB, answer http.HandlerFunc) *Scripted {
	t.Helper()
	s := &Scripted{}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		s.seen = append(s.seen, r)
		s.mu.Unlock()
		answer(w, r)
	}))
	t.Cleanup(s.Close)
	return s
}

// Requests gives what came, in order.
func (s *Scripted) Requests() []*http.Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]*http.Request(nil), s.seen...)
}

// Lines gives what came, as "METHOD path?query".
func (s *Scripted) Lines() []string {
	var all []string
	for _, r := range s.Requests() {
		all = append(all, r.Method+" "+r.RequestURI)
	}
	return all
}

// Count counts the requests with that method whose path and query hold part.
func (s *Scripted) Count(method, part string) int {
	return s.CountOf(func(r *http.Request) bool { return r.Method == method && strings.Contains(r.RequestURI, part) })
}

// CountOf counts the requests that match picks; nil picks all.
func (s *Scripted) CountOf(match func(*http.Request) bool) (n int) {
	for _, r := range s.Requests() {
		if match == nil || match(r) {
			n++
		}
	}
	return n
}

// Last gives the last request, which must have come.
func (s *Scripted) Last(t testing.TB) *http.Request {
	t.Helper()
	seen := s.Requests()
	if len(seen) == 0 {
		t.Fatal("no request came")
	}
	return seen[len(seen)-1]
}
