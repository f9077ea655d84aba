package daemon

import (
	"github.com/pinfs/pinfs/cache"
	"github.com/pinfs/pinfs/fusefs"
	"github.com/pinfs/pinfs/manifest"
)

// NewAhead is the follower of a mount whose cache is prefetch.
func NewAhead(prefetch func(obj manifest.Object, n int64) cache.Ahead) fusefs.Follower {
	return newAhead(prefetch, nil)
}

// ChooseBySize is how OpenAuto chooses for one version.
var ChooseBySize = chooseBySize
