package daemon

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/pinfs/pinfs/backends"
	"github.com/pinfs/pinfs/cache"
	"github.com/pinfs/pinfs/fusefs/lister"
	"github.com/pinfs/pinfs/manifest"
	"github.com/pinfs/pinfs/registry"
	"github.com/pinfs/pinfs/registry/expand"
)

const (
	// firstWait is how long a daemon waits for its first mount or job.
	firstWait = 30 * time.Second
	// lastAnswers is how long requests may take that are under way at the end.
	lastAnswers = 2 * time.Second
)

// Options are the choices of a daemon. Cache.Dir, Backend and OpenRegistry must
// be set.
type Options struct {
	// Cache is passed on to cache.Open, but for Source and Logger, which are the
	// daemon's.
	Cache cache.Options
	// Backend reads all objects. The daemon closes it.
	Backend backends.Backend
	// Settings say how Backend asks; mounts that need others are refused.
	Settings Settings
	// OpenRegistry opens the registry of a URL. The daemon closes it.
	OpenRegistry func(ctx context.Context, url string) (*registry.Registry, error)
	// Copies hears which registries are open, for the contents that they keep; nil
	// if Backend reads none.
	Copies Copies
	// Offline: no source is asked, so unpinned references stay as they are.
	Offline bool
	// Redact takes secrets out of what the status shows; nil leaves it as it is.
	Redact func(text string) string
	// Outages hears of requests that are tried again; nil if nobody tells.
	Outages *Outages
	// ListAhead are arguments of this program that come to lister.Serve; nil: names are
	// not listed ahead of readers.
	ListAhead []string
	// Store has mounts outlive this process; nil: they end with it.
	Store Store
	// Kept is what the Store gave back: this process goes on where another one ended. The
	// daemon closes it.
	Kept map[string][]*os.File
	// Version is the build, for the status.
	Version string
	// Logger is slog.Default when nil.
	Logger *slog.Logger
	// Grace is how long busy mounts are waited for when the daemon ends, before
	// they are taken out of sight, and again for their last users after that.
	// 0 stands for 5 s.
	Grace time.Duration
}

// Copies are the places where contents are looked for by their SHA-256, in
// lower-case hex; see registry.Registry.Blob. It must not call back.
type Copies interface {
	// Add adds a place until remove is called.
	Add(find func(ctx context.Context, sha256 string) (local string, err error)) (remove func())
}

// Daemon is the process behind the mounts of one cache directory. All methods
// may be called from many goroutines.
type Daemon struct {
	o       Options
	log     *slog.Logger
	cache   *cache.Cache
	source  *source
	faults  *faultLog
	reads   *reads
	lister  *lister.Lister // nil: names are not listed ahead of readers
	started time.Time

	socket *guarded
	server *http.Server
	tasks  sync.WaitGroup
	stop   chan struct{}   // closed by Stop
	idle   chan struct{}   // holds one token when the last mount is gone
	once   sync.Once       // of stop
	ending context.Context // of jobs; ends with Close
	end    context.CancelFunc

	mu         sync.Mutex // guards all below
	closing    bool
	again      bool // another process goes on
	pending    int  // mounts that are being made
	jobs       int  // warm jobs under way
	mounts     map[string]*mount
	detached   map[*mount]struct{}
	registries map[string]*openRegistry
	tokens     []string                  // of requests that were cancelled before they came; oldest first
	wrong      map[manifest.Object]error // to be told to the mounts
	telling    bool                      // a goroutine does that
}

// New opens the cache, whose lock makes this process the daemon of its
// directory, and answers the control socket. KindBusy, naming the process, when
// there is a daemon already. Options.Backend is the daemon's even when New fails.
func New(o Options) (*Daemon, error) {
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	if o.Redact == nil {
		o.Redact = func(text string) string { return text }
	}
	if o.Grace <= 0 {
		o.Grace = 5 * time.Second
	}
	d := &Daemon{o: o, log: o.Logger, source: newSource(o.Backend, o.Redact, o.Outages), faults: newFaultLog(o.Redact), reads: &reads{}, started: time.Now().UTC(),
		stop: make(chan struct{}), idle: make(chan struct{}, 1),
		mounts: map[string]*mount{}, detached: map[*mount]struct{}{}, registries: map[string]*openRegistry{}}
	d.ending, d.end = context.WithCancel(context.Background())
	if o.ListAhead != nil {
		d.lister = lister.New(o.ListAhead, o.Logger)
	}
	if err := d.open(); err != nil {
		d.end()
		return nil, errors.Join(err, o.Backend.Close())
	}
	return d, nil
}

func (d *Daemon) open() (err error) {
	if err := MakeCacheDir(d.o.Cache.Dir); err != nil {
		return err
	}
	o := d.o.Cache
	o.Source, o.Logger, o.OnMismatch = d.source, d.log, d.distrust
	var kept []keptFiles
	kept, o.Lock = sortKept(d.o.Kept)
	locked := o.Lock != nil
	if d.cache, err = cache.Open(o); err != nil {
		return errors.Join(err, closeAll(kept))
	}
	if err = d.begin(kept, locked); err != nil {
		return errors.Join(err, d.cache.Close())
	}
	d.serve(d.socket)
	return nil
}

// begin goes on with the mounts of a process before, and then answers the socket.
func (d *Daemon) begin(kept []keptFiles, locked bool) error {
	restored, files := d.readKept(kept)
	if err := expand.MakeDir(d.foundDir(), files...); err != nil {
		return errors.Join(err, closeAll(kept))
	}
	var all sync.WaitGroup
	for _, r := range restored {
		all.Go(func() { d.restore(r) }) // a registry that does not answer holds up its own mounts
	}
	all.Wait()
	if d.o.Store != nil && !locked {
		if err := d.o.Store.Put(keptLock, d.cache.Lock()); err != nil {
			return err
		}
	}
	return d.listen()
}

// listen binds the control socket.
func (d *Daemon) listen() (err error) {
	if d.socket, err = listen(d.o.Cache.Dir); err != nil {
		return &manifest.Error{Op: "control socket", Ref: d.o.Cache.Dir, Err: err}
	}
	return nil
}

// foundDir has the snapshots of versions with unpinned references, as mounts have
// found them.
func (d *Daemon) foundDir() string { return filepath.Join(d.o.Cache.Dir, "found") }

// MakeCacheDir makes a cache directory, private to its user.
func MakeCacheDir(dir string) error {
	err := os.MkdirAll(dir, 0o700)
	if err != nil {
		return &manifest.Error{Op: "cache directory", Ref: dir, Err: err, Hint: "use another --cache-dir"}
	}
	return nil
}

// Stop makes Run return.
func (d *Daemon) Stop() { d.once.Do(func() { close(d.stop) }) }

// Run returns when the daemon has nothing more to do: ctx ends, Stop was called,
// the last mount or job is gone, or no first one came in half a minute. Close must
// follow.
func (d *Daemon) Run(ctx context.Context) {
	first := time.NewTimer(firstWait)
	defer first.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-d.stop:
			return
		case <-d.idle:
		case <-first.C:
		}
		if d.closeIfIdle() {
			return
		}
	}
}

// closeIfIdle takes nothing new from now on if there are neither mounts nor jobs.
func (d *Daemon) closeIfIdle() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.mounts)+len(d.detached)+d.jobs > 0 {
		return false
	}
	d.closing = true
	return true
}

// inUse is true while there is a mount, or one is being made, or a job.
func (d *Daemon) inUse() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.mounts)+len(d.detached)+d.jobs > 0
}

// wake tells Run that a mount or a job is gone, or could not be made.
func (d *Daemon) wake() {
	select {
	case d.idle <- struct{}{}:
	default:
	}
}

// Close ends all jobs and unmounts all, then closes the cache, the sources and the socket. Mounts
// that are busy after Options.Grace, or when ctx ends, are taken out of sight;
// the programs in them then lose their files.
func (d *Daemon) Close(ctx context.Context) error {
	d.mu.Lock()
	d.closing = true
	d.mu.Unlock()
	d.log.Info("the daemon is ending")
	d.end()
	d.unmountAll(ctx)
	if d.lister != nil {
		d.lister.Close()
	}
	d.endServer()
	d.tasks.Wait()
	err := errors.Join(d.cache.Close(), d.o.Backend.Close())
	if d.o.Store != nil {
		err = errors.Join(err, d.o.Store.Remove(keptLock)) // the last thing: the next daemon may begin
	}
	return err
}

// endServer lets requests that are under way have their answers, a while at most.
func (d *Daemon) endServer() {
	ctx, cancel := context.WithTimeout(context.Background(), lastAnswers)
	defer cancel()
	if d.server.Shutdown(ctx) != nil {
		d.server.Close()
	}
	d.socket.Close() // Serve may not have begun
}

// Status says what the daemon does now.
func (d *Daemon) Status() Status {
	stats := d.cache.Stats()
	return Status{
		Daemon: &Process{PID: os.Getpid(), Version: d.o.Version, Started: d.started, Uptime: time.Since(d.started).Seconds()},
		Mounts: d.mountStatus(),
		Cache: CacheStatus{Dir: d.o.Cache.Dir, Used: stats.Used, Limit: stats.Limit, Objects: stats.Objects,
			Hits: stats.Hits, Misses: stats.Misses, Busy: stats.Busy},
		Backends: d.source.status(),
		Errors:   d.faults.list(),
	}
}
