package daemon

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pinfs/pinfs/fusefs"
	"github.com/pinfs/pinfs/manifest"
)

// refuseFor is how long Refuse goes on before what keeps dying gets another chance.
const refuseFor = time.Minute

// Refuse goes on with the mounts of processes that keep dying: names and attributes are
// served as far as they are known, and each read fails with EIO and why, so that nobody
// waits for ever. ready is called when that is so. It returns when the last of them is
// unmounted; after a minute, with again, for another try to serve them; or when ctx ends,
// and has unmounted them.
func Refuse(ctx context.Context, store Store, kept map[string][]*os.File, why error, ready func() error, log *slog.Logger) (again bool, err error) {
	r := &refusal{store: store, log: log, why: &manifest.Error{Kind: manifest.KindOther, Op: "read", Msg: "nothing serves this mount now", Err: why,
		Hint: "see the daemon's log; another try follows within a minute"}}
	mounts, lock := sortKept(kept)
	if lock != nil {
		defer lock.Close()
	}
	over, cancel := context.WithTimeout(ctx, refuseFor)
	defer cancel()
	var errs []error
	var all sync.WaitGroup
	var left atomic.Bool
	for _, k := range mounts {
		m, err := r.attach(k)
		if err != nil {
			errs = append(errs, err, k.close())
			continue
		}
		all.Go(func() {
			if !r.serve(ctx, over, m, k.id) {
				left.Store(true)
			}
		})
	}
	errs = append(errs, ready())
	all.Wait()
	if left.Load() {
		return true, errors.Join(errs...)
	}
	return false, errors.Join(append(errs, store.Remove(keptLock))...)
}

// refusal is one Refuse.
type refusal struct {
	store Store
	why   error
	log   *slog.Logger
}

// serve refuses until m has ended; false when over ended before, and m is left alone.
func (r *refusal) serve(ctx, over context.Context, m *fusefs.Mounted, id string) bool {
	r.log.Error("reads of a mount are refused", "dir", m.Dir(), "error", r.why)
	select {
	case <-m.Done():
	case <-over.Done():
		if ctx.Err() == nil {
			return false
		}
		if err := m.Unmount(context.WithoutCancel(ctx), true); err != nil {
			r.log.Warn("unmount", "dir", m.Dir(), "error", err)
		}
	}
	for _, name := range keptNames() {
		if err := r.store.Remove(name + id); err != nil {
			r.log.Warn("what is kept of a mount", "dir", m.Dir(), "error", err)
		}
	}
	return true
}

// attach serves what is kept of one mount.
func (r *refusal) attach(k keptFiles) (*fusefs.Mounted, error) {
	if k.files[keptConn] == nil || k.files[keptState] == nil {
		return nil, errors.New("what is kept of a mount is not complete")
	}
	st, err := readState(k.files[keptState])
	if err != nil {
		return nil, err
	}
	req := st.mount.Request
	o := fusefs.Options{Content: refusing{r.why}, Logger: r.log, UID: req.UID, GID: req.GID, AllowOther: req.AllowOther, Memory: k.files[keptMemory]}
	if o.Slots, _, err = fusefs.ReplaySlots(&st.slots, nil); err != nil {
		return nil, err
	}
	t := st.mount.Tree
	if t == nil {
		o.Names, o.Project = noNames{r.why}, req.Project
		return fusefs.Attach(k.files[keptConn], st.begun, o)
	}
	if o.Tree, err = k.tree(t); err != nil {
		return nil, err
	}
	return fusefs.Attach(k.files[keptConn], st.begun, o)
}

// refusing is Content that has nothing.
type refusing struct{ why error }

var _ fusefs.Content = refusing{}

// ReadAt fails.
func (r refusing) ReadAt(context.Context, manifest.Object, []byte, int64) (int, error) {
	return 0, r.why
}

// Size fails.
func (r refusing) Size(context.Context, manifest.Object) (int64, error) { return 0, r.why }

// Inspect fails.
func (r refusing) Inspect(manifest.Object) (int64, bool, error) { return 0, false, r.why }
