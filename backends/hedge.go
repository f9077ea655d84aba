package backends

import (
	"context"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pinfs/pinfs/manifest"
)

// hedging asks a second time for a range whose answer is later than those of 95 %
// of the requests of its size; the first answer wins, the other is given up. Both
// are at the same pin, so that it does not matter which it is. At most 5 % of the
// requests are hedged, each within the limit of requests, and none while the
// source throttles. Bodies that stop later are the retry's matter.
type hedging struct {
	Backend
	gate   *gate
	tokens *tokens
	late   [len(sizeClasses) + 1]lateness
	won    atomic.Int64
	second sync.WaitGroup // second requests that are under way, or may be soon
}

var (
	_ Backend      = (*hedging)(nil)
	_ ManyDigester = (*hedging)(nil)
)

func newHedging(b Backend, g *gate) *hedging {
	return &hedging{Backend: b, gate: g, tokens: hedgeTokens()}
}

func (h *hedging) Digest(ctx context.Context, info Info) (Info, error) {
	return digest(ctx, h.Backend, info)
}

func (h *hedging) DigestMany(ctx context.Context, infos []Info) error {
	return DigestMany(ctx, h.Backend, infos)
}

// Open hedges ranges. A stream to the end of an object is left alone, and so is a
// pin by content, for which a driver may read all of it before it answers.
func (h *hedging) Open(ctx context.Context, obj manifest.Object, offset, length int64) (io.ReadCloser, Info, error) {
	if length <= 0 || obj.Pin.Kind == manifest.PinMD5 {
		return h.Backend.Open(ctx, obj, offset, length)
	}
	h.tokens.earn()
	late := &h.late[classOf(length)]
	start := time.Now()
	a, err := h.race(ctx, late.after(), func(ctx context.Context) opened {
		body, info, err := h.Backend.Open(ctx, obj, offset, length)
		return opened{body: body, info: info, err: err}
	})
	if err != nil {
		return nil, Info{}, err
	}
	late.add(time.Since(start))
	return a.body, a.info, nil
}

// Close waits for requests that were given up.
func (h *hedging) Close() error {
	h.second.Wait()
	return h.Backend.Close()
}

// fill puts what is known of hedges into s.
func (h *hedging) fill(s *Stats) { s.Hedged, s.HedgeWon = h.tokens.used(), h.won.Load() }

// race asks, and once more if that takes longer than after, unless after is 0.
func (h *hedging) race(ctx context.Context, after time.Duration, ask func(context.Context) opened) (opened, error) {
	if after == 0 {
		a := ask(ctx)
		return a, a.err
	}
	r := &race{done: make(chan struct{})}
	first, giveUp := context.WithCancel(ctx)
	r.giveUp[0] = giveUp
	h.second.Add(1)
	over := func() { close(r.done); h.second.Done() }
	timer := time.AfterFunc(after, func() {
		defer over()
		h.askAgain(ctx, r, ask)
	})
	a := ask(first)
	if timer.Stop() {
		over()
	}
	r.finish(0, a)
	if again(a.err) { // the second one may do better
		<-r.done
	}
	return r.result(a.err)
}

// askAgain sends the second request, if that is allowed.
func (h *hedging) askAgain(ctx context.Context, r *race, ask func(context.Context) opened) {
	if ctx.Err() != nil || !h.gate.tryCalm() {
		return
	}
	defer h.gate.release()
	ctx, giveUp := context.WithCancel(ctx)
	if !r.join(giveUp) || !h.tokens.take() {
		giveUp()
		return
	}
	began := time.Now()
	a := ask(ctx)
	if manifest.KindOf(a.err) == manifest.KindThrottled {
		h.gate.slowDown(began)
	}
	if r.finish(1, a) {
		h.won.Add(1)
	}
}

// opened is what Open gave.
type opened struct {
	body io.ReadCloser
	info Info
	err  error
}

// race is two requests for the same, 0 and 1, of which one may never be sent.
type race struct {
	done chan struct{} // closed when the second one is over or will not be sent

	mu      sync.Mutex // guards all below; a leaf
	giveUp  [2]context.CancelFunc
	won     opened
	decided bool
}

// join is called before the second request; false if it is not needed any more.
func (r *race) join(giveUp context.CancelFunc) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.giveUp[1] = giveUp
	return !r.decided
}

// end gives up a request, if it was sent.
func (r *race) end(who int) {
	r.mu.Lock()
	giveUp := r.giveUp[who]
	r.mu.Unlock()
	if giveUp != nil {
		giveUp()
	}
}

// finish takes the answer of one: the first that came, unless it is a failure
// after which the other may still succeed. The other is given up.
func (r *race) finish(who int, a opened) (won bool) {
	r.mu.Lock()
	won = !r.decided && (a.err == nil || !again(a.err))
	if won {
		r.decided, r.won = true, a
	}
	r.mu.Unlock()
	switch {
	case won:
		r.end(1 - who)
		if a.err != nil {
			r.end(who)
		}
		return a.err == nil
	case a.err == nil:
		_ = a.body.Close() // of an answer that nobody needs
	}
	r.end(who)
	return false
}

// result is the answer that won; err is the failure of the first if none did.
func (r *race) result(err error) (opened, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.decided {
		return opened{}, err
	}
	if r.won.err != nil {
		return opened{}, r.won.err
	}
	r.won.body = &raced{r.won.body, r}
	return r.won, nil
}

// raced frees the context of its request when it is closed.
type raced struct {
	io.ReadCloser
	race *race
}

func (b *raced) Close() error {
	err := b.ReadCloser.Close()
	b.race.end(0)
	b.race.end(1)
	return err
}
