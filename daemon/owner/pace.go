package owner

import "time"

const (
	burst      = 10                     // ends in a row that cost nothing
	refill     = 2 * time.Second        // until one more does
	firstPause = 100 * time.Millisecond // of those beyond
	maxPause   = 5 * time.Second
)

// pace says how long to wait before the next worker is started. A few ends cost
// nothing: their readers wait for the next worker. Who always ends again would take
// the host's time with it: then each pause is twice the last one, until there was
// quiet for as long as it takes to fill the bucket.
type pace struct {
	left float64 // ends that cost nothing
	at   time.Time
	next time.Duration
}

func newPace(now time.Time) *pace { return &pace{left: burst, at: now, next: firstPause} }

// pause takes note of a worker's end, now, and gives the pause after it.
func (p *pace) pause(now time.Time) time.Duration {
	p.left = min(burst, p.left+max(0, now.Sub(p.at)).Seconds()/refill.Seconds())
	p.at = now
	if p.left == burst {
		p.next = firstPause
	}
	if p.left >= 1 {
		p.left--
		return 0
	}
	d := p.next
	p.next = min(2*d, maxPause)
	return d
}
