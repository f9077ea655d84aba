package daemon

import (
	"context"
	"encoding/json"
	"net/http"
	"os"

	"github.com/pinfs/pinfs/manifest"
	"github.com/pinfs/pinfs/registry/expand"
)

// WarmRequest names the version that is to be brought to the cache.
type WarmRequest struct {
	Registry string `json:"registry"` // URL
	Project  string `json:"project"`
	Ref      string `json:"ref"` // "mnist:v3"
	// PathPrefix is a file or directory of the version; "" is all of it.
	PathPrefix string `json:"path_prefix,omitempty"`
	// Keep is KeepAsIs, KeepOn or KeepOff.
	Keep string `json:"keep,omitempty"`
	// Parallel is how many small objects are fetched at once; 0: as many as hide the
	// latency of the source, at most DefaultWarm.
	Parallel int `json:"parallel,omitempty"`
	// MaxObjects and Settings are as in MountRequest.
	MaxObjects int64    `json:"max_objects,omitempty"`
	Settings   Settings `json:"settings,omitempty"`
}

// What a warm job does about eviction.
const (
	KeepAsIs = ""
	KeepOn   = "keep"   // brings objects, and exempts them
	KeepOff  = "unkeep" // ends their exemption, brings nothing
)

// DefaultWarm is how many small objects a warm job fetches at once at most, unless it
// is told.
const DefaultWarm = 64

// WarmProgress is how far a warm job is.
type WarmProgress struct {
	Files      int64 `json:"files"` // done, failed ones too
	TotalFiles int64 `json:"total_files"`
	Bytes      int64 `json:"bytes"` // on disk
	TotalBytes int64 `json:"total_bytes"`
}

// WarmResult is what a warm job did, in files unless it says bytes.
type WarmResult struct {
	Ref          string `json:"ref"`   // "project/mnist:v3"
	Files        int64  `json:"files"` // that are wholly on disk now
	Bytes        int64  `json:"bytes"` // in them
	Fetched      int64  `json:"fetched"`
	FetchedBytes int64  `json:"fetched_bytes"`
	Here         int64  `json:"here"`    // that were wholly on disk before
	Skipped      int64  `json:"skipped"` // that nothing pins
	Unkept       int64  `json:"unkept"`  // whose exemption ended
	// Failed has the first 1,000; FailedCount counts all.
	Failed      []WarmFailure `json:"failed"`
	FailedCount int64         `json:"failed_count"`
	// Silent is set when a source gave no answer at all, so that not all of its
	// objects were asked for.
	Silent error `json:"-"`
	// PID is the daemon's; Last is true when it has nothing left to do and ends.
	PID  int  `json:"-"`
	Last bool `json:"-"`
}

// WarmFailure is a file that is not wholly on disk, and why.
type WarmFailure struct {
	Path     string        `json:"path"`
	Ref      string        `json:"ref"`
	Expected string        `json:"expected"`
	Found    string        `json:"found"`
	Error    string        `json:"error"`
	Kind     manifest.Kind `json:"-"`
}

// maxWarmFailures bounds the failures that are listed.
const maxWarmFailures = 1000

// check refuses requests that no client makes by mistake.
func (r WarmRequest) check() error {
	switch r.Keep {
	case KeepAsIs, KeepOn, KeepOff:
		return nil
	}
	return &manifest.Error{Kind: manifest.KindInvalid, Op: "warm", Ref: r.Keep, Msg: "no such way to keep"}
}

// Warm brings a version to this daemon's cache. It goes on until all is tried; the
// result tells which files failed, the error what stopped it: KindLimit when the
// version does not fit, the end of ctx or of the daemon. report, which may be nil,
// hears now and then how far it is.
func (d *Daemon) Warm(ctx context.Context, req WarmRequest, report func(WarmProgress)) (WarmResult, error) {
	if err := req.check(); err != nil {
		return WarmResult{}, err
	}
	if err := d.sameSettings("warm", req.Settings); err != nil {
		return WarmResult{}, err
	}
	ctx, done, err := d.beginJob(ctx)
	if err != nil {
		return WarmResult{}, err
	}
	defer done()
	name, err := manifest.ParseName(req.Ref)
	if err != nil {
		return WarmResult{}, err
	}
	name.Project = req.Project
	r, err := d.acquire(ctx, req.Registry)
	if err != nil {
		return WarmResult{}, err
	}
	defer d.release(r)
	v, err := r.registry.Resolve(ctx, name)
	if err != nil {
		return WarmResult{}, err
	}
	found := d.expander(req.MaxObjects, nil)
	defer closeFound(d, found)
	tree, err := openTree(ctx, r.registry, v, found)
	if err != nil {
		return WarmResult{}, err
	}
	defer tree.Snapshot.Close()
	b := newBringing(d, tree.Snapshot, found, bringOptions{op: "warm", ref: v.Project + "/" + v.Name(),
		prefix: req.PathPrefix, keep: req.Keep, parallel: req.Parallel, whole: true, report: report})
	err = b.run(ctx)
	return b.outcome(), err
}

// expander makes what looks at unpinned references; nil if no source is asked.
func (d *Daemon) expander(maxObjects int64, kept *handover) *expand.Expander {
	if d.o.Offline {
		return nil
	}
	o := expand.Options{Backend: d.o.Backend, Dir: d.foundDir(), MaxObjects: maxObjects}
	if kept != nil {
		o.OnFound, o.OnPinned = kept.found, kept.pinned
	}
	return expand.New(o)
}

func closeFound(d *Daemon, found *expand.Expander) {
	if found == nil {
		return
	}
	if err := found.Close(); err != nil {
		d.log.Warn("remove what was found", "error", err)
	}
}

// beginJob counts a job, so that the daemon does not end for want of mounts; its
// context ends when the daemon does. done must be called.
func (d *Daemon) beginJob(ctx context.Context) (context.Context, func(), error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closing {
		return nil, nil, errClosing
	}
	d.jobs++
	d.tasks.Add(1)
	ctx, cancel := context.WithCancelCause(ctx)
	unhook := context.AfterFunc(d.ending, func() {
		cancel(&manifest.Error{Kind: manifest.KindCanceled, Op: "warm", Msg: "the daemon is ending"})
	})
	return ctx, func() {
		unhook()
		cancel(nil)
		d.mu.Lock()
		d.jobs--
		d.mu.Unlock()
		d.tasks.Done()
		d.wake()
	}, nil
}

// warmLine is one line of the answer: progress, one failure, or the end.
type warmLine struct {
	Progress *WarmProgress `json:"progress,omitempty"`
	Failed   *WarmFailure  `json:"failed,omitempty"`
	Kind     string        `json:"kind,omitempty"`   // of Failed
	Result   *WarmResult   `json:"result,omitempty"` // without its failures
	Silent   *wireError    `json:"silent,omitempty"`
	PID      int           `json:"pid,omitempty"`
	Last     bool          `json:"last,omitempty"`
	Error    *wireError    `json:"error,omitempty"`
}

// warmFor answers with lines as it goes; a client that leaves stops it.
func (d *Daemon) warmFor(w http.ResponseWriter, r *http.Request, req WarmRequest) {
	lines := json.NewEncoder(w)
	flush := http.NewResponseController(w)
	result, err := d.Warm(r.Context(), req, func(p WarmProgress) {
		if lines.Encode(warmLine{Progress: &p}) == nil {
			_ = flush.Flush() // its context tells when the client is gone
		}
	})
	last := !d.inUse()
	if err != nil {
		_ = lines.Encode(warmLine{Error: toWire(err), PID: os.Getpid(), Last: last})
		return
	}
	for i := range result.Failed {
		_ = lines.Encode(warmLine{Failed: &result.Failed[i], Kind: result.Failed[i].Kind.String()})
	}
	end := warmLine{Result: &result, PID: os.Getpid(), Last: last}
	if result.Silent != nil {
		end.Silent = toWire(result.Silent)
	}
	result.Failed = nil
	_ = lines.Encode(end)
}
