package daemon

import (
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pinfs/pinfs/manifest"
)

// Outages knows which sources give no answer at all while their requests are tried
// again and again. The zero value knows of none.
type Outages struct {
	// Patience is how long a source may give no answer before jobs leave out the rest
	// of its objects; 0 stands for 12 s.
	Patience time.Duration

	some atomic.Int32 // how many are known

	mu    sync.Mutex // guards what follows
	known map[string]*outage
}

// outage is a time without an answer; last is when it was noticed last.
type outage struct {
	since, last time.Time
	err         error
}

// maxOutages bounds the sources that are known: they come from manifests.
const maxOutages = 256

// Retried hears of a request that failed and is tried again; see
// backends.RetryPolicy.OnRetry. Being told to slow down is an answer.
func (o *Outages) Retried(err error) {
	var typed *manifest.Error
	if !errors.As(err, &typed) {
		return
	}
	if typed.Kind == manifest.KindThrottled {
		o.answered(typed.Ref)
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	now, place := time.Now(), placeOf(typed.Ref)
	known := o.known[place]
	if known == nil {
		if len(o.known) >= maxOutages {
			return
		}
		if o.known == nil {
			o.known = map[string]*outage{}
		}
		known = &outage{since: now}
		o.known[place] = known
		o.some.Add(1)
	}
	known.last, known.err = now, err
}

// answered ends the outage of ref's source.
func (o *Outages) answered(ref string) {
	if o == nil || o.some.Load() == 0 {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if place := placeOf(ref); o.known[place] != nil {
		delete(o.known, place)
		o.some.Add(-1)
	}
}

// over tells that ref's source has given no answer for longer than Patience since
// from: for how long, and the last error.
func (o *Outages) over(ref string, from time.Time) (time.Duration, error) {
	if o == nil {
		return 0, nil
	}
	lasts, err := o.lasts(ref, from)
	if lasts < orElse(o.Patience, 12*time.Second) {
		return 0, nil
	}
	return lasts, err
}

// lasts tells for how long ref's source has been seen without an answer.
func (o *Outages) lasts(ref string, from time.Time) (time.Duration, error) {
	if o.some.Load() == 0 {
		return 0, nil
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	known := o.known[placeOf(ref)]
	if known == nil || known.last.Before(from) {
		return 0, nil
	}
	if known.since.After(from) {
		from = known.since
	}
	return known.last.Sub(from), known.err
}

// placeOf is what answers for a reference: its scheme with its bucket or host.
func placeOf(ref string) string {
	scheme, rest, ok := strings.Cut(ref, "://")
	if !ok {
		return ref
	}
	host, _, _ := strings.Cut(rest, "/")
	return scheme + "://" + host
}
