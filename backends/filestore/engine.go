package filestore

import (
	"sync"

	md5simd "github.com/minio/md5-simd"
)

// lanes is how many files an engine hashes at once. With AVX-512 that takes one
// core hardly more time than one file alone, with AVX2 half of them do; without
// either it is crypto/md5 in each lane.
const lanes = 16

// fewFiles is up to how many files crypto/md5 is faster.
const fewFiles = 2

// maxEngines is how many engines are kept when nobody hashes: as many as there
// are calls at once, usually.
const maxEngines = 4

// engine hashes for one call at a time. It has a goroutine and 1.5 MiB. A hasher
// waits for nothing but that goroutine, which waits for nobody, so that none can
// hang; the engine is only closed when no hasher is in use.
type engine struct {
	server  md5simd.Server
	hashers [lanes]md5simd.Hasher
}

func newEngine() *engine {
	e := &engine{server: md5simd.NewServer()}
	for i := range e.hashers {
		e.hashers[i] = e.server.NewHash()
	}
	return e
}

func (e *engine) close() {
	for _, h := range e.hashers {
		h.Close()
	}
	e.server.Close()
}

// engines keeps those that are not in use.
type engines struct {
	mu   sync.Mutex
	idle []*engine // guarded by mu
}

func (s *engines) get() *engine {
	s.mu.Lock()
	defer s.mu.Unlock()
	if last := len(s.idle) - 1; last >= 0 {
		e := s.idle[last]
		s.idle = s.idle[:last]
		return e
	}
	return newEngine()
}

func (s *engines) put(e *engine) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.idle) < maxEngines {
		s.idle = append(s.idle, e)
		return
	}
	e.close()
}

func (s *engines) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, e := range s.idle {
		e.close()
	}
	s.idle = nil
}
