package backends

import (
	"sync"
	"time"
)

// tokens are a bucket that fills with time and with requests, for what may be done
// beside the requests themselves: retries, hedges.
type tokens struct {
	burst float64 // the most that is saved
	rate  float64 // earned in a second
	share float64 // earned by a request

	mu   sync.Mutex // guards all below; a leaf
	have float64    // may be negative: what is owed
	at   time.Time  // when rate was counted last
	uses int64
}

// retryTokens: a source that comes to life again is not hit by the retries of all
// readers at once. Some are free; then there are 20 a second and one for each 10
// requests.
func retryTokens() *tokens { return &tokens{burst: 32, have: 32, rate: 20, share: 0.1} }

// hedgeTokens: one for 20 requests, none to begin with.
func hedgeTokens() *tokens { return &tokens{burst: 8, share: 0.05} }

// earn counts a request.
func (t *tokens) earn() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.have = min(t.burst, t.have+t.share)
}

// take uses a token if there is one.
func (t *tokens) take() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.have < 1 {
		return false
	}
	t.have--
	t.uses++
	return true
}

// borrow uses a token, and gives how long must be waited until it is earned by
// time alone; at most so long.
func (t *tokens) borrow(most time.Duration) time.Duration {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := time.Now()
	if !t.at.IsZero() {
		t.have = min(t.burst, t.have+t.rate*now.Sub(t.at).Seconds())
	}
	t.at = now
	t.uses++
	t.have = max(t.have-1, -most.Seconds()*t.rate)
	return time.Duration(max(0, -t.have) / t.rate * float64(time.Second))
}

// used gives how many tokens were used.
func (t *tokens) used() int64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.uses
}
