package daemon

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/pinfs/pinfs/cache"
	"github.com/pinfs/pinfs/fusefs"
	"github.com/pinfs/pinfs/fusefs/lister"
	"github.com/pinfs/pinfs/manifest"
	"github.com/pinfs/pinfs/registry/expand"
)

// NewAhead is the follower of a mount whose cache is prefetch.
func NewAhead(prefetch func(obj manifest.Object, n int64) cache.Ahead) fusefs.Follower {
	return newAhead(prefetch, nil)
}

// Kernel is what a follower pushes to.
type Kernel interface {
	kernel
	List(ctx context.Context, all []lister.Request) error
}

// NewPusher is NewAhead for a mount in k, with all in the cache that peek has. settled
// returns when nothing is being pushed.
func NewPusher(prefetch func(obj manifest.Object, n int64) cache.Ahead, peek func(manifest.Object, []byte) bool, k Kernel) (f fusefs.Follower, settled func()) {
	p := newPushes(peek, k.List)
	p.serve(k)
	return newAhead(prefetch, p), p.jobs.Wait
}

// ChooseBySize is how OpenAuto chooses for one version.
var ChooseBySize = chooseBySize

// RoundTrip writes what is known of a mount to a state file, lets damage change it, and
// reads it as the next process does.
func RoundTrip(st fusefs.MountState, slots [][]byte, found expand.Found, pinned expand.Pinned, damage func(*os.File)) (kept *KeptMount, err error) {
	s, err := newStateFile()
	if err != nil {
		return nil, err
	}
	defer s.file.Close()
	h := &handover{state: s}
	err = errors.Join(s.add(stateRecord{Mount: &mountRecord{Dir: st.Dir}}), h.Begun(st))
	for _, line := range slots {
		err = errors.Join(err, h.slot(line))
	}
	if err = errors.Join(err, h.found(found), h.pinned(pinned)); err != nil {
		return nil, err
	}
	damage(s.file)
	k, err := readState(s.file)
	if err != nil {
		return nil, err
	}
	if err := h.slot([]byte(`{"slot":99}`)); err != nil { // it goes on behind what is good
		return nil, err
	}
	again, err := readState(s.file)
	if err != nil || again.slots.Len() <= k.slots.Len() {
		return nil, fmt.Errorf("after another line: %d bytes of slots, %d before, %w", again.slots.Len(), k.slots.Len(), err)
	}
	return &KeptMount{k.begun, k.slots.String(), k.found, k.pinned}, nil
}

// KeptMount is what a state file says.
type KeptMount struct {
	Begun  fusefs.MountState
	Slots  string
	Found  []expand.Found
	Pinned []expand.Pinned
}
