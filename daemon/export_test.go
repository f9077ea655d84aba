package daemon

import (
	"context"

	"github.com/pinfs/pinfs/cache"
	"github.com/pinfs/pinfs/fusefs"
	"github.com/pinfs/pinfs/fusefs/lister"
	"github.com/pinfs/pinfs/manifest"
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
