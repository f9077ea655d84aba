package daemon

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/pinfs/pinfs/fusefs"
	"github.com/pinfs/pinfs/manifest"
	"github.com/pinfs/pinfs/manifest/snapshot"
)

// restoreWait is how long a registry may take to open while the users of a mount wait.
const restoreWait = 20 * time.Second

// keptFiles are what is kept of one mount.
type keptFiles struct {
	id    string
	files map[string]*os.File // by the names of keptNames
}

// sortKept sorts what a Store gave back: by mount, and the lock. It closes what it
// does not know.
func sortKept(kept map[string][]*os.File) (mounts []keptFiles, lock *os.File) {
	byID := map[string]keptFiles{}
	for name, files := range kept {
		kind, id, _ := strings.Cut(name, "-")
		kind += "-"
		for _, f := range files[1:] {
			_ = f.Close() // of systemd, which keeps what came twice
		}
		switch {
		case name == keptLock:
			lock = files[0]
		case slices.Contains(keptNames(), kind):
			if _, ok := byID[id]; !ok {
				byID[id] = keptFiles{id, map[string]*os.File{}}
			}
			byID[id].files[kind] = files[0]
		default:
			_ = files[0].Close() // not ours
		}
	}
	return slices.SortedFunc(maps.Values(byID), func(a, b keptFiles) int { return strings.Compare(a.id, b.id) }), lock
}

func (k keptFiles) close() error {
	var errs []error
	for _, f := range k.files {
		errs = append(errs, f.Close())
	}
	return errors.Join(errs...)
}

func closeAll(kept []keptFiles) error {
	var errs []error
	for _, k := range kept {
		errs = append(errs, k.close())
	}
	return errors.Join(errs...)
}

// restored is a mount of a process before, and what is known of it.
type restored struct {
	keptFiles
	*keptMount
}

// readKept reads what is known of the mounts, and gives the files of what was found
// for them. What was still being made when its process died goes: nobody was told
// that it is there.
func (d *Daemon) readKept(kept []keptFiles) (mounts []restored, found []string) {
	for _, k := range kept {
		r := restored{keptFiles: k}
		err := errors.New("it was being made")
		if k.files[keptConn] != nil && k.files[keptState] != nil {
			r.keptMount, err = readState(k.files[keptState])
		}
		if err == nil && len(r.begun.Init) == 0 {
			err = errors.New("it was being made")
		}
		if err != nil {
			d.abandon(r, err)
			continue
		}
		for _, f := range r.found {
			found = append(found, f.Path)
		}
		mounts = append(mounts, r)
	}
	return mounts, found
}

// abandon ends a mount that nobody can go on with.
func (d *Daemon) abandon(r restored, why error) {
	dir := ""
	if r.keptMount != nil {
		dir = r.mount.Dir
	}
	d.log.Error("a mount of the process before is lost", "dir", dir, "error", why)
	for _, name := range keptNames() {
		if err := d.o.Store.Remove(name + r.id); err != nil {
			d.log.Warn("what is kept of a mount", "dir", dir, "error", err)
		}
	}
	if err := r.close(); err != nil {
		d.log.Warn("what is kept of a mount", "dir", dir, "error", err)
	}
	if dir != "" && manifest.KindOf(fusefs.Unmount(context.Background(), dir, true)) == manifest.KindNotFound {
		d.log.Debug("it is unmounted already", "dir", dir)
	}
}

// restore goes on with a mount where the process before stopped. Its users wait
// until then.
func (d *Daemon) restore(r restored) {
	begin := time.Now()
	m := &mount{req: r.mount.Request, redact: d.o.Redact, ref: r.mount.Ref, openWhy: r.mount.OpenWhy, since: r.mount.Since,
		gone: make(chan struct{}), made: make(chan struct{})}
	m.kept = &handover{store: d.o.Store, id: r.id, state: &stateFile{file: r.files[keptState]}, memory: r.files[keptMemory]}
	if m.req.Fill {
		m.fill = d.newFilling()
	}
	mounted, err := d.attach(m, r)
	if err != nil {
		d.abandon(r, err)
		m.kept = nil
		d.drop(m)
		return
	}
	_ = r.files[keptConn].Close() // the server has its own
	d.mu.Lock()
	d.pending++
	if mounted.Visible() {
		d.mounts[m.req.Dir] = m
	} else {
		d.detached[m] = struct{}{}
	}
	d.mu.Unlock()
	d.enter(m, mounted, nil)
	d.log.Info("went on with a mount", "dir", m.req.Dir, "ref", m.ref, "after", time.Since(begin).Round(time.Millisecond))
}

// attach serves the connection of a mount as the process before did.
func (d *Daemon) attach(m *mount, r restored) (*fusefs.Mounted, error) {
	m.found = d.expander(m.req.MaxObjects, m.kept)
	if m.found != nil {
		m.found.Adopt(r.found, r.pinned)
	}
	o := d.optionsFor(m)
	o.Open = fusefs.OpenMode(r.mount.Open)
	var err error
	if o.Slots, _, err = fusefs.ReplaySlots(&r.slots, m.kept.slot); err != nil {
		return nil, err
	}
	if err := d.chooseAgain(m, r, &o); err != nil {
		return nil, err
	}
	o.Memory = r.files[keptMemory]
	return fusefs.Attach(r.files[keptConn], r.begun, o)
}

// chooseAgain fills in what is shown. A version is in the file that the process before
// had, whatever became of the registry since.
func (d *Daemon) chooseAgain(m *mount, r restored, o *fusefs.Options) error {
	ctx, cancel := context.WithTimeout(context.Background(), restoreWait)
	defer cancel()
	opened, err := d.acquire(ctx, m.req.Registry)
	if err == nil {
		m.registry = opened
	}
	t := r.mount.Tree
	switch {
	case t == nil && err != nil:
		d.log.Error("the registry of a mount can't be opened", "dir", m.req.Dir, "error", err)
		o.Names, o.Project = noNames{err}, m.req.Project
		return nil
	case t == nil:
		o.Names, o.Project = names{opened.registry, m.found}, m.req.Project
		return nil
	}
	if m.tree, err = r.tree(t); err != nil {
		return err
	}
	if m.found != nil {
		if refs := m.found.References(t.Digest); refs != nil {
			m.tree.Unpinned = below(refs)
		}
	}
	o.Tree = m.tree
	return nil
}

// tree opens the version of a mount of one: its snapshot is the kept one.
func (k keptFiles) tree(t *treeRecord) (*fusefs.Tree, error) {
	file := k.files[keptSnapshot]
	if file == nil {
		return nil, errors.New("its snapshot was not kept")
	}
	defer file.Close()
	s, err := snapshot.Open(fmt.Sprintf("/proc/self/fd/%d", file.Fd()))
	if err != nil {
		return nil, err
	}
	return &fusefs.Tree{Snapshot: s, Project: t.Project, Name: t.Name, Digest: t.Digest, Created: t.Created}, nil
}

// noNames is a registry that can't be opened.
type noNames struct{ err error }

var _ fusefs.Names = noNames{}

// Projects fails.
func (n noNames) Projects(context.Context) ([]string, error) { return nil, n.err }

// Tree fails.
func (n noNames) Tree(context.Context, string) ([]fusefs.Listed, error) { return nil, n.err }

// Lookup fails.
func (n noNames) Lookup(context.Context, string, string) (fusefs.Listed, error) {
	return fusefs.Listed{}, n.err
}

// Open fails.
func (n noNames) Open(context.Context, string, string) (*fusefs.Tree, error) { return nil, n.err }
