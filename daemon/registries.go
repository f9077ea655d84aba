package daemon

import (
	"context"

	"github.com/pinfs/pinfs/registry"
)

// openRegistry is a registry that mounts use; uses is guarded by Daemon.mu.
type openRegistry struct {
	url      string
	registry *registry.Registry
	uses     int
	forget   func() // takes it out of Options.Copies
}

// acquire gives the registry of url, opened once for all mounts that use it.
func (d *Daemon) acquire(ctx context.Context, url string) (*openRegistry, error) {
	if r := d.find(url); r != nil {
		return r, nil
	}
	opened, err := d.o.OpenRegistry(ctx, url)
	if err != nil {
		return nil, err
	}
	d.mu.Lock()
	other, ok := d.registries[url]
	if !ok {
		other = &openRegistry{url: url, registry: opened, forget: d.announce(opened)}
		d.registries[url] = other
	}
	other.uses++
	d.mu.Unlock()
	if ok { // somebody else was faster
		opened.Close()
	}
	return other, nil
}

// announce lets the copies of a registry be read while it is open.
func (d *Daemon) announce(r *registry.Registry) (forget func()) {
	if d.o.Copies == nil {
		return func() {}
	}
	return d.o.Copies.Add(r.Blob)
}

func (d *Daemon) find(url string) *openRegistry {
	d.mu.Lock()
	defer d.mu.Unlock()
	r := d.registries[url]
	if r != nil {
		r.uses++
	}
	return r
}

// release gives a registry back; the last user's closes it. r may be nil.
func (d *Daemon) release(r *openRegistry) {
	if r == nil {
		return
	}
	d.mu.Lock()
	r.uses--
	last := r.uses == 0
	if last {
		delete(d.registries, r.url)
	}
	d.mu.Unlock()
	if !last {
		return
	}
	r.forget()
	if err := r.registry.Close(); err != nil {
		d.log.Warn("close registry", "registry", r.url, "error", err)
	}
}
