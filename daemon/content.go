package daemon

import (
	"context"

	"github.com/pinfs/pinfs/cache"
	"github.com/pinfs/pinfs/fusefs"
	"github.com/pinfs/pinfs/fusefs/lister"
	"github.com/pinfs/pinfs/manifest"
	"github.com/pinfs/pinfs/registry/expand"
)

// content shows the cache to fusefs.
type content struct {
	*cache.Cache
	redact func(string) string
	found  *expand.Expander // nil when nothing is to be looked at
	reads  *reads
}

var (
	_ fusefs.Content = content{}
	_ fusefs.Viewer  = content{}
)

// strictContent serves only what was verified as a whole.
type strictContent struct{ content }

var (
	_ fusefs.Content = strictContent{}
	_ fusefs.Viewer  = strictContent{}
)

// ReadAt reads bytes of objects that were verified first.
func (c strictContent) ReadAt(ctx context.Context, obj manifest.Object, p []byte, off int64) (int, error) {
	c.reads.begin()
	defer c.reads.end()
	obj, err := c.resolve(ctx, obj)
	if err != nil {
		return 0, err
	}
	return c.Cache.ReadVerifiedAt(ctx, obj, p, off)
}

// View lends nothing: what was verified is compared where nobody else has it.
func (c strictContent) View(ctx context.Context, obj manifest.Object, p []byte, off int64) (head, tail []byte, done func(), err error) {
	n, err := c.ReadAt(ctx, obj, p, off)
	return p[:n], nil, func() {}, err
}

// contentFor gives what a mount reads.
func (d *Daemon) contentFor(m *mount) fusefs.Content {
	c := content{d.cache, d.o.Redact, m.found, d.reads}
	if m.req.Verify == VerifyStrict {
		return strictContent{c}
	}
	return c
}

// followerFor gives what fetches ahead of a mount's readers, and the kernel what is
// here; nil when no source is asked.
func (d *Daemon) followerFor(m *mount) fusefs.Follower {
	if d.o.Offline {
		return nil
	}
	c := content{d.cache, d.o.Redact, m.found, d.reads}
	if m.req.Verify != VerifyStrict {
		m.pushes = newPushes(c.peek, d.listNames())
	}
	return newAhead(c.prefetch, m.pushes)
}

// ReadAt reads bytes of objects.
func (c content) ReadAt(ctx context.Context, obj manifest.Object, p []byte, off int64) (int, error) {
	c.reads.begin()
	defer c.reads.end()
	obj, err := c.resolve(ctx, obj)
	if err != nil {
		return 0, err
	}
	return c.Cache.ReadAt(ctx, obj, p, off)
}

// View shows bytes of objects.
func (c content) View(ctx context.Context, obj manifest.Object, p []byte, off int64) (head, tail []byte, done func(), err error) {
	c.reads.begin()
	defer c.reads.end()
	obj, err = c.resolve(ctx, obj)
	if err != nil {
		return nil, nil, func() {}, err
	}
	v, err := c.Cache.View(ctx, obj, p, off)
	return v.Head, v.Tail, v.Done, err
}

// prefetch has the first n bytes of obj fetched; see cache.Cache.Prefetch.
func (c content) prefetch(obj manifest.Object, n int64) cache.Ahead {
	if obj.Pin.Kind == manifest.PinNone && c.found != nil {
		pinned, ok := c.found.Pinned(obj)
		if !ok {
			return cache.AheadHere // its reader asks for the pin
		}
		obj = pinned
	}
	return c.Cache.Prefetch(obj, n)
}

// listNames gives what lists names ahead of readers, nil if nothing does.
func (d *Daemon) listNames() func(context.Context, []lister.Request) error {
	if d.lister == nil {
		return nil
	}
	return d.lister.List
}

// peek reads all of obj into p if it is here and small; see cache.Cache.Peek.
func (c content) peek(obj manifest.Object, p []byte) bool {
	return c.Cache.Peek(c.pinned(obj), p)
}

// Size asks for a size that the manifest does not tell.
func (c content) Size(ctx context.Context, obj manifest.Object) (int64, error) {
	obj, err := c.resolve(ctx, obj)
	if err != nil || obj.Size >= 0 {
		return obj.Size, err
	}
	return c.Cache.Size(ctx, obj)
}

// resolve gives an object without a pin the one that this mount has found, or
// says why there is none.
func (c content) resolve(ctx context.Context, obj manifest.Object) (manifest.Object, error) {
	if obj.Pin.Kind != manifest.PinNone || c.found == nil {
		return obj, nil
	}
	if err := c.found.Failure(obj); err != nil {
		return obj, err
	}
	if expand.Pinnable(obj) {
		return c.found.Pin(ctx, obj)
	}
	return obj, nil
}

// pinned gives an object without a pin the one that this mount has found before.
func (c content) pinned(obj manifest.Object) manifest.Object {
	if obj.Pin.Kind == manifest.PinNone && c.found != nil {
		if found, ok := c.found.Pinned(obj); ok {
			return found
		}
	}
	return obj
}

// Inspect says what the cache has of obj. The error is shown in an attribute, so
// it is without secrets.
func (c content) Inspect(obj manifest.Object) (cached int64, verified bool, lastErr error) {
	var failure error
	if obj.Pin.Kind == manifest.PinNone && c.found != nil {
		failure = c.found.Failure(obj)
		if pinned, ok := c.found.Pinned(obj); ok {
			obj = pinned
		}
	}
	i := c.Cache.Inspect(obj)
	if i.LastError != nil {
		failure = i.LastError
	}
	if failure != nil {
		lastErr = &manifest.Error{Kind: manifest.KindOf(failure), Msg: c.redact(failure.Error())}
	}
	return i.Cached, i.Verified, lastErr
}
