package backends

import (
	"sync"
	"time"

	"github.com/pinfs/pinfs/manifest"
)

// outage tells for how long the calls of one wrapper have had no answer.
type outage struct {
	mu    sync.Mutex
	since time.Time // guarded by mu; zero while there are answers
}

// ended notes an answer.
func (o *outage) ended() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.since = time.Time{}
}

// lasts notes an attempt that began then and had no answer.
func (o *outage) lasts(began time.Time) time.Duration {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.since.IsZero() {
		o.since = began
	}
	return time.Since(o.since)
}

// patience is how long may still be waited after err, the failure of an attempt
// that brought so many bytes.
func (g *budget) patience(err error, brought int64) time.Duration {
	if g.outage == nil || g.policy.MaxOutage == 0 {
		return g.left()
	}
	if brought > 0 || !again(err) || manifest.KindOf(err) == manifest.KindThrottled {
		g.outage.ended()
		return g.left()
	}
	return min(g.left(), g.policy.MaxOutage-g.outage.lasts(g.began))
}

// answered notes that an attempt got what it asked for.
func (g *budget) answered() {
	if g.outage != nil {
		g.outage.ended()
	}
	if g.gate != nil {
		g.gate.answered()
	}
}
