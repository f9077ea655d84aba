package httpstore

import "sync"

// maxHabits bounds how many hosts are remembered.
const maxHabits = 1000

// habits remembers the hosts that don't understand If-Match: they say 412 to the
// very ETag that they give. They get If-Range, which pins as well, so that a wrong
// memory costs nothing but a longer answer.
type habits struct {
	mu    sync.Mutex
	hosts map[string]bool // guarded by mu
}

// of gives the precondition that a host understands, as far as is known.
func (h *habits) of(host string) precondition {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.hosts[host] {
		return wantRange
	}
	return wantMatch
}

func (h *habits) noMatch(host string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.hosts == nil || len(h.hosts) >= maxHabits {
		h.hosts = map[string]bool{}
	}
	h.hosts[host] = true
}
