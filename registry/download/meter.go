package download

import (
	"sync"
	"time"
)

// reportEvery is the least time between two calls of Progress.
const reportEvery = 100 * time.Millisecond

// meter adds up progress and reports it now and then, without a goroutine.
type meter struct {
	report func(Progress)

	mu   sync.Mutex // guards what follows, and makes reports one at a time
	sum  Progress
	last time.Time
}

func (m *meter) add(files, bytes int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.sum.Files += files
	m.sum.Bytes += bytes
	if m.report == nil {
		return
	}
	if now := time.Now(); now.Sub(m.last) >= reportEvery {
		m.last = now
		m.report(m.sum)
	}
}

func (m *meter) total(files, bytes int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.sum.TotalFiles, m.sum.TotalBytes = files, bytes
}

func (m *meter) done() {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.report != nil {
		m.report(m.sum)
	}
}
