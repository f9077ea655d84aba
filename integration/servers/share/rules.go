package share

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/hanwen/go-fuse/v2/fuse"
)

// Op is one kind of request.
type Op string

// The requests that rules tell apart.
const (
	Lookup  Op = "lookup"  // of a name in a directory: the path is the name's
	Stat    Op = "stat"    // of what was looked up
	Open    Op = "open"    // of a file
	Read    Op = "read"    // of a file
	ReadDir Op = "readdir" // the opening of a directory
)

// Rule is one thing that goes wrong. The zero values of its fields do nothing.
type Rule struct {
	// Ops are the requests that it hits, none being all.
	Ops []Op
	// Path is what the path of the file begins with, relative to the share.
	Path string
	// From lets reads at lower offsets pass.
	From int64
	// Skip lets so many requests pass; then Times are hit, 0 being all.
	Skip, Times int

	// Delay is waited for first, in nanoseconds.
	Delay time.Duration
	// Errno is the answer, EIO or ESTALE for one.
	Errno syscall.Errno
	// Hang is no answer until the rule is gone: then the request goes on.
	Hang bool
}

// State is what a share has seen so far.
type State struct {
	// Requests are the answered and the hanging ones.
	Requests map[Op]int
	// Hit is how many a rule hit, Hanging how many hang now.
	Hit, Hanging int
}

// rules are those in force. Safe for concurrent use.
type rules struct {
	mu      sync.Mutex // guards all below
	list    []*Rule    // with their counts
	release chan struct{}
	state   State
}

func newRules() *rules {
	return &rules{release: make(chan struct{}), state: State{Requests: map[Op]int{}}}
}

// set puts others in force; what hangs goes on.
func (r *rules) set(list []*Rule) {
	r.mu.Lock()
	defer r.mu.Unlock()
	close(r.release)
	r.list, r.release = list, make(chan struct{})
}

func (r *rules) snapshot() State {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := r.state
	s.Requests = map[Op]int{}
	for op, n := range r.state.Requests {
		s.Requests[op] = n
	}
	return s
}

// pick counts a request and gives the first rule that hits it.
func (r *rules) pick(op Op, path string, offset int64) (rule Rule, release <-chan struct{}) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.state.Requests[op]++
	for i, c := range r.list {
		if len(c.Ops) > 0 && !slices.Contains(c.Ops, op) || !strings.HasPrefix(path, c.Path) || op == Read && offset < c.From {
			continue
		}
		if c.Skip > 0 {
			c.Skip--
			continue
		}
		if c.Times > 0 {
			if c.Times--; c.Times == 0 {
				r.list = slices.Delete(slices.Clone(r.list), i, i+1)
			}
		}
		r.state.Hit++
		return *c, r.release
	}
	return Rule{}, nil
}

func (r *rules) hanging(by int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.state.Hanging += by
}

// apply does to a request what the rules say; 0 lets it go on.
func (r *rules) apply(ctx context.Context, op Op, path string, offset int64) syscall.Errno {
	rule, release := r.pick(op, path, offset)
	if rule.Delay > 0 {
		select {
		case <-time.After(rule.Delay):
		case <-release:
		}
	}
	if rule.Hang {
		r.hanging(1)
		defer r.hanging(-1)
		if !wait(ctx, release) {
			return syscall.EINTR
		}
	}
	return rule.Errno
}

// killPoll is how often a request that hangs looks whether its reader was killed.
const killPoll = 20 * time.Millisecond

// wait returns when release is closed; false when the reader was killed before.
// Other signals, which Go's runtime sends itself all the time, change nothing.
func wait(ctx context.Context, release <-chan struct{}) bool {
	caller, known := fuse.FromContext(ctx)
	tick := time.NewTicker(killPoll)
	defer tick.Stop()
	for {
		select {
		case <-release:
			return true
		case <-tick.C:
			if known && caller.Pid != 0 && killed(caller.Pid) {
				return false
			}
		}
	}
}

// killed says whether a thread has SIGKILL to come, or is gone. The kernel holds
// such a thread until its request is answered.
func killed(tid uint32) bool {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", tid))
	if err != nil {
		return os.IsNotExist(err)
	}
	for line := range strings.Lines(string(status)) {
		name, mask, _ := strings.Cut(strings.TrimSpace(line), ":\t")
		if name != "SigPnd" && name != "ShdPnd" {
			continue
		}
		if m, err := strconv.ParseUint(mask, 16, 64); err == nil && m&(1<<(syscall.SIGKILL-1)) != 0 {
			return true
		}
	}
	return false
}
