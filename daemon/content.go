package daemon

import (
	"github.com/pinfs/pinfs/cache"
	"github.com/pinfs/pinfs/fusefs"
	"github.com/pinfs/pinfs/manifest"
)

// content shows the cache to fusefs.
type content struct{ *cache.Cache }

var _ fusefs.Content = content{}

// Inspect says what the cache has of obj.
func (c content) Inspect(obj manifest.Object) (cached int64, verified bool, lastErr error) {
	i := c.Cache.Inspect(obj)
	return i.Cached, i.Verified, i.LastError
}
