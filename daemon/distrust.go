package daemon

import (
	"context"
	"maps"
	"slices"

	"github.com/pinfs/pinfs/manifest"
)

// distrust notes an object whose bytes turned out to be wrong after some may have
// been served. The mounts are told behind the caller, who may be a reader that
// the kernel waits for; what comes meanwhile is told together.
func (d *Daemon) distrust(_ context.Context, obj manifest.Object, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closing {
		return
	}
	first := len(d.wrong) == 0
	if first {
		d.wrong = map[manifest.Object]error{}
	}
	d.wrong[obj] = err
	if first && !d.telling {
		d.telling = true
		d.tasks.Go(d.tell)
	}
}

// tell makes all mounts report what is wrong, and the kernel forget it.
func (d *Daemon) tell() {
	for wrong := d.nextWrong(); wrong != nil; wrong = d.nextWrong() {
		for _, m := range d.served() {
			m.mounted.Distrust(context.Background(), wrong) // each step of it has its deadline
			m.users.Done()
		}
	}
}

// nextWrong gives what is to be told; nil when there is nothing more.
func (d *Daemon) nextWrong() map[manifest.Object]error {
	d.mu.Lock()
	defer d.mu.Unlock()
	wrong := d.wrong
	d.wrong, d.telling = nil, wrong != nil
	return wrong
}

// served gives the mounts that have been made and not ended; each stays until its
// users are done.
func (d *Daemon) served() []*mount {
	d.mu.Lock()
	defer d.mu.Unlock()
	list := slices.Collect(maps.Keys(d.detached))
	for _, m := range d.mounts {
		if m.mounted != nil {
			list = append(list, m)
		}
	}
	for _, m := range list {
		m.users.Add(1)
	}
	return list
}
