package daemon

import (
	"context"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/pinfs/pinfs/fusefs"
	"github.com/pinfs/pinfs/manifest"
	"github.com/pinfs/pinfs/registry"
	"github.com/pinfs/pinfs/registry/expand"
)

const (
	// unmountWait is how long an unmount may take that the kernel has agreed to.
	unmountWait = 20 * time.Second
)

// mount is one mount of the daemon. mounted is guarded by Daemon.mu and nil while
// the mount is being made, by Daemon.make, which has the other fields to itself;
// after that nothing changes.
type mount struct {
	req      MountRequest
	redact   func(string) string
	ref      string
	since    time.Time
	registry *openRegistry
	found    *expand.Expander // of what has no pin; nil if no source is asked
	tree     *fusefs.Tree     // of a mount of one version; closed with the mount
	openWhy  string           // how OpenAuto chose
	mounted  *fusefs.Mounted
	fill     *filling       // nil unless asked for
	pushes   *pushes        // nil: the kernel is left to ask
	kept     *handover      // nil: it ends with this process
	made     chan struct{}  // closed when it is there, or will not be
	gone     chan struct{}  // closed when nothing of it is left
	users    sync.WaitGroup // who uses mounted beside its own requests
}

// Mount makes a mount; it answers when Mount returns. ctx is for the making only.
// KindBusy: something is mounted there by this daemon, the daemon's sources are
// asked in another way than the request wants, or the daemon is about to end.
func (d *Daemon) Mount(ctx context.Context, req MountRequest) (MountReply, error) {
	if err := d.sameSettings("mount", req.Settings); err != nil {
		return MountReply{}, err
	}
	if err := req.check(); err != nil {
		return MountReply{}, err
	}
	m := &mount{req: req, redact: d.o.Redact, gone: make(chan struct{}), made: make(chan struct{})}
	if req.Fill {
		m.fill = d.newFilling()
	}
	if other := d.mountedAt(req.Dir); other != nil && !other.mounted.Visible() {
		d.afterUnmount(other, true) // it was unmounted by somebody else just now
	}
	if err := d.reserve(m); err != nil {
		m.endFill()
		return MountReply{}, err
	}
	mounted, err := d.make(ctx, m)
	d.enter(m, mounted, err)
	if err != nil {
		return MountReply{}, err
	}
	open, why := m.openStatus()
	d.log.Info("mounted", "dir", req.Dir, "ref", m.ref, "registry", req.Registry, "open", open, "why", why)
	return MountReply{MountPoint: req.Dir, PID: os.Getpid(), Ref: m.ref, Open: open, OpenReason: why}, nil
}

// sameSettings refuses what this daemon's sources can't do.
func (d *Daemon) sameSettings(op string, want Settings) error {
	names := d.o.Settings.differ(want)
	if len(names) == 0 {
		return nil
	}
	first := names[0]
	return &manifest.Error{Kind: manifest.KindBusy, Op: op, Ref: d.o.Cache.Dir,
		Msg:      "the daemon of this cache directory (pid " + strconv.Itoa(os.Getpid()) + ") has other settings: " + strings.Join(names, ", "),
		Expected: first + "=" + d.o.Settings[first], Found: first + "=" + want[first],
		Hint: "use another --cache-dir, or unmount what that daemon has mounted"}
}

// reserve keeps the mount point, so that nobody else mounts there meanwhile.
func (d *Daemon) reserve(m *mount) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closing {
		return errClosing
	}
	if m.req.Token != "" && slices.Contains(d.tokens, m.req.Token) {
		return &manifest.Error{Kind: manifest.KindCanceled, Op: "mount", Ref: m.req.Dir, Msg: "the request was taken back"}
	}
	if other, ok := d.mounts[m.req.Dir]; ok {
		return &manifest.Error{Kind: manifest.KindBusy, Op: "mount", Ref: m.req.Dir,
			Msg: "already mounted: " + other.req.shows(), Hint: "pinfs umount " + m.req.Dir}
	}
	d.mounts[m.req.Dir] = m
	d.pending++
	return nil
}

// enter ends a reservation: the mount is there, or it is not.
func (d *Daemon) enter(m *mount, mounted *fusefs.Mounted, err error) {
	d.mu.Lock()
	d.pending--
	m.mounted = mounted
	if err != nil {
		delete(d.mounts, m.req.Dir)
	}
	d.mu.Unlock()
	close(m.made)
	if err != nil {
		d.drop(m)
		return
	}
	d.startFill(m)
	if open, _ := mounted.Open(); m.pushes != nil && open == fusefs.OpenStateless {
		m.pushes.serve(mounted)
	}
	go func() { // ends with the mount, which Close sees to
		m.mounted.Wait()
		d.forget(m)
	}()
}

// forget removes a mount that has ended, however that came.
func (d *Daemon) forget(m *mount) {
	d.mu.Lock()
	if d.mounts[m.req.Dir] == m {
		delete(d.mounts, m.req.Dir)
	}
	delete(d.detached, m)
	d.mu.Unlock()
	d.log.Info("unmounted", "dir", m.req.Dir, "ref", m.ref)
	d.drop(m)
}

// drop frees what a mount that is out of the tables had.
func (d *Daemon) drop(m *mount) {
	m.endFill()
	if m.pushes != nil {
		m.pushes.close()
	}
	m.users.Wait()
	if m.tree != nil {
		m.tree.Snapshot.Close()
	}
	if m.found != nil {
		if err := m.found.Close(); err != nil {
			d.log.Warn("remove what was found", "dir", m.req.Dir, "error", err)
		}
	}
	d.release(m.registry)
	if err := m.kept.end(); err != nil {
		d.log.Warn("what is kept of a mount", "dir", m.req.Dir, "error", err)
	}
	close(m.gone)
	d.wake()
}

// make finds what m is to show and mounts it.
func (d *Daemon) make(ctx context.Context, m *mount) (*fusefs.Mounted, error) {
	var err error
	if m.registry, err = d.acquire(ctx, m.req.Registry); err != nil {
		return nil, err
	}
	if m.kept, err = d.newHandover(); err != nil {
		return nil, err
	}
	m.found = d.expander(m.req.MaxObjects, m.kept)
	o := d.optionsFor(m)
	if err := d.choose(ctx, m, &o); err != nil {
		return nil, err
	}
	o.Open, m.openWhy = m.req.chooseOpen(m.tree)
	m.since = time.Now().UTC()
	if m.kept != nil {
		if err := m.kept.prepare(m, &o); err != nil {
			return nil, err
		}
	}
	return fusefs.Mount(ctx, m.req.Dir, o)
}

// optionsFor are those that do not depend on what is shown.
func (d *Daemon) optionsFor(m *mount) fusefs.Options {
	return fusefs.Options{Content: d.contentFor(m), Follower: d.followerFor(m), Logger: d.log, OnError: d.noteError(m),
		UID: m.req.UID, GID: m.req.GID, AllowOther: m.req.AllowOther}
}

// choose fills in what is shown: a version, the versions of a project, or all.
func (d *Daemon) choose(ctx context.Context, m *mount, o *fusefs.Options) error {
	r := m.registry.registry
	if m.req.Ref == "" {
		o.Names, o.Project, m.ref = names{r, m.found}, m.req.Project, m.req.Project
		return projectExists(ctx, r, m.req.Project)
	}
	name, err := manifest.ParseName(m.req.Ref)
	if err != nil {
		return err
	}
	name.Project = m.req.Project
	v, err := r.Resolve(ctx, name)
	if err != nil {
		return err
	}
	m.tree, err = openTree(ctx, r, v, m.found)
	o.Tree, m.ref = m.tree, v.Project+"/"+v.Name()
	return err
}

// projectExists says KindNotFound, with near names, when a project does not.
func projectExists(ctx context.Context, r *registry.Registry, project string) error {
	if project == "" {
		return nil
	}
	_, err := r.Artifacts(ctx, project)
	return err
}

// noteError remembers the errors that readers below m got. fusefs names files
// from the project on; here they are named as the readers do.
func (d *Daemon) noteError(m *mount) func(string, manifest.Object, error) {
	return func(path string, obj manifest.Object, err error) {
		below := strings.TrimPrefix(path+"/", m.ref+"/")
		d.faults.add(filepath.Join(m.req.Dir, below), obj, err)
	}
}

// Unmount ends the mount at dir. KindNotFound: there is none of this daemon.
// KindBusy: it is in use; lazy takes it out of sight instead.
func (d *Daemon) Unmount(dir string, lazy bool) error {
	m := d.mountedAt(dir)
	if m == nil {
		return &manifest.Error{Kind: manifest.KindNotFound, Op: "umount", Ref: dir, Msg: "this daemon has no mount there"}
	}
	ctx, cancel := context.WithTimeout(context.Background(), unmountWait)
	defer cancel()
	if err := d.unmount(ctx, m, lazy); err != nil {
		return err
	}
	m.endFill()
	d.afterUnmount(m, lazy)
	return nil
}

// unmount ends m while nothing of it is listed for readers to come, which would be a
// use of it.
func (d *Daemon) unmount(ctx context.Context, m *mount, lazy bool) error {
	if d.lister == nil || m.pushes == nil {
		return m.mounted.Unmount(ctx, lazy)
	}
	return d.lister.Quietly(func() error { return m.mounted.Unmount(ctx, lazy) })
}

// mountedAt gives the mount at dir, nil when there is none yet or any more.
func (d *Daemon) mountedAt(dir string) *mount {
	d.mu.Lock()
	defer d.mu.Unlock()
	m := d.mounts[dir]
	if m == nil || m.mounted == nil {
		return nil
	}
	return m
}

// Cancel ends the mount that a request made, or is about to make, if its client
// no longer wants it. Mounts of other requests at the same place stay. A daemon
// that was started for that request alone ends.
func (d *Daemon) Cancel(ctx context.Context, dir, token string) {
	defer d.wake()
	m := d.cancelled(dir, token)
	if m == nil {
		return
	}
	select {
	case <-m.made:
	case <-ctx.Done():
		return
	}
	if d.mountedAt(dir) == m {
		_ = d.Unmount(dir, true) // it may have ended by itself
	}
}

// maxTokens bounds the cancelled requests that are remembered.
const maxTokens = 64

// cancelled gives the mount that a request is making or has made. One that comes
// behind its own cancel, on another connection, is refused: see reserve.
func (d *Daemon) cancelled(dir, token string) *mount {
	d.mu.Lock()
	defer d.mu.Unlock()
	if token == "" {
		return nil
	}
	if m := d.mounts[dir]; m != nil && m.req.Token == token {
		return m
	}
	if d.tokens = append(d.tokens, token); len(d.tokens) > maxTokens {
		d.tokens = d.tokens[1:]
	}
	return nil
}

// afterUnmount waits until a mount is gone; one that is still used is detached:
// its place is free again.
func (d *Daemon) afterUnmount(m *mount, lazy bool) {
	if !lazy {
		<-m.gone // the mount has ended: this is prompt
		return
	}
	select {
	case <-m.gone:
		return
	case <-time.After(200 * time.Millisecond):
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.mounts[m.req.Dir] == m {
		delete(d.mounts, m.req.Dir)
		d.detached[m] = struct{}{}
	}
}

// unmountAll ends all mounts; see Close.
func (d *Daemon) unmountAll(ctx context.Context) {
	var all sync.WaitGroup
	for _, m := range d.live() {
		all.Go(func() { d.unmountBusy(ctx, m) })
	}
	all.Wait()
}

// live gives the mounts that are there, those that are out of sight too.
func (d *Daemon) live() []*mount {
	for d.beingMade() {
		time.Sleep(10 * time.Millisecond) // bounded: each has its own deadline
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	var list []*mount
	for _, m := range d.mounts {
		list = append(list, m)
	}
	for m := range d.detached {
		list = append(list, m)
	}
	return list
}

func (d *Daemon) beingMade() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.pending > 0
}

// unmountBusy asks until the mount lets go; after the grace it is detached and
// waited for once more. The end of ctx ends both waits.
func (d *Daemon) unmountBusy(ctx context.Context, m *mount) {
	if d.unmountWithin(ctx, m) {
		return
	}
	d.log.Warn("still in use; taken out of sight", "dir", m.req.Dir)
	_ = d.Unmount(m.req.Dir, true) // it may have ended by itself
	select {
	case <-m.gone:
		return
	case <-ctx.Done():
	case <-time.After(d.o.Grace):
	}
	d.log.Warn("its users lose it now", "dir", m.req.Dir)
	m.abort()
}

// unmountWithin asks again and again, for the time of grace, and tells whether
// the mount is gone.
func (d *Daemon) unmountWithin(ctx context.Context, m *mount) bool {
	ctx, cancel := context.WithTimeout(ctx, d.o.Grace)
	defer cancel()
	for {
		if ctx.Err() == nil {
			_ = d.Unmount(m.req.Dir, false) // busy, or gone meanwhile
		}
		select {
		case <-m.gone:
			return true
		case <-ctx.Done():
			return false
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// abort drops the connection, and gives the mount a second to be gone.
func (m *mount) abort() {
	if m.mounted.Abort() != nil {
		return
	}
	select {
	case <-m.gone:
	case <-time.After(time.Second):
	}
}

// mountStatus lists the mounts, by directory.
func (d *Daemon) mountStatus() []MountStatus {
	d.mu.Lock()
	detached := maps.Clone(d.detached)
	var all []*mount
	for _, m := range d.mounts {
		if m.mounted != nil {
			all = append(all, m)
		}
	}
	d.mu.Unlock()
	list := []MountStatus{}
	for _, m := range all {
		list = append(list, m.status(false))
	}
	for m := range detached {
		list = append(list, m.status(true))
	}
	slices.SortFunc(list, func(a, b MountStatus) int { return strings.Compare(a.Dir, b.Dir) })
	return list
}

func (m *mount) status(detached bool) MountStatus {
	unpinned, count := m.unpinned()
	var fill *FillStatus
	if m.fill != nil {
		fill = m.fill.get(m.redact)
	}
	open, why := m.openStatus()
	asked := m.mounted.Requests()
	return MountStatus{Fill: fill, Unpinned: unpinned, UnpinnedCount: count, Dir: m.req.Dir, Ref: m.ref, Open: open, OpenReason: why, Verify: m.req.verify(), Registry: m.req.Registry, Since: m.since,
		Detached: detached, Requests: asked.Total(), Reads: asked.Read, Pushed: asked.Pushed}
}

// maxUnpinned bounds the references that the status lists.
const maxUnpinned = 100

// unpinned lists what the mount has looked at; count is of all.
func (m *mount) unpinned() (list []Unpinned, count int) {
	if m.found == nil {
		return nil, 0
	}
	all := m.found.All()
	for _, r := range all[:min(len(all), maxUnpinned)] {
		u := Unpinned{Path: r.Path, Ref: r.Ref, Since: r.Time, Dir: r.Dir, Objects: r.Objects, LeftOut: r.LeftOut}
		if r.Err != nil {
			u.Error = m.redact(r.Err.Error())
		}
		list = append(list, u)
	}
	return list, len(all)
}
