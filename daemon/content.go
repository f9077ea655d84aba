package daemon

import (
	"context"

	"github.com/pinfs/pinfs/cache"
	"github.com/pinfs/pinfs/fusefs"
	"github.com/pinfs/pinfs/manifest"
)

// content shows the cache to fusefs.
type content struct{ *cache.Cache }

var _ fusefs.Content = content{}

// strictContent serves only what was verified as a whole.
type strictContent struct{ content }

var _ fusefs.Content = strictContent{}

// ReadAt reads bytes of objects that were verified first.
func (c strictContent) ReadAt(ctx context.Context, obj manifest.Object, p []byte, off int64) (int, error) {
	return c.Cache.ReadVerifiedAt(ctx, obj, p, off)
}

// contentFor gives what a mount reads.
func (d *Daemon) contentFor(req MountRequest) fusefs.Content {
	if req.Verify == VerifyStrict {
		return strictContent{content{d.cache}}
	}
	return content{d.cache}
}

// Inspect says what the cache has of obj.
func (c content) Inspect(obj manifest.Object) (cached int64, verified bool, lastErr error) {
	i := c.Cache.Inspect(obj)
	return i.Cached, i.Verified, i.LastError
}
