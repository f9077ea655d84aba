package fusefs

import (
	"log/slog"
	"sync"
	"syscall"

	"github.com/hanwen/go-fuse/v2/fuse"
	"github.com/pinfs/pinfs/manifest"
)

// maxFaults bounds what is remembered of logged errors. Past it all is
// forgotten, and what still fails is logged once more.
const maxFaults = 4096

// faults logs each error once for an object (a path where there is none).
type faults struct {
	log     *slog.Logger
	onError func(path string, obj manifest.Object, err error)

	mu     sync.Mutex // guards logged
	logged map[fault]struct{}
}

type fault struct {
	object [32]byte
	path   string // only without an object
	errno  syscall.Errno
}

// report gives the status for err after it was logged and told. Interrupted
// callers are no news.
func (r *faults) report(path string, obj manifest.Object, err error) fuse.Status {
	errno := Errno(err)
	if errno == syscall.EINTR || errno == 0 {
		return fuse.Status(errno)
	}
	if r.first(path, obj, errno) {
		r.logOne(path, obj, err, errno)
	}
	if r.onError != nil {
		r.onError(path, obj, err)
	}
	return fuse.Status(errno)
}

func (r *faults) first(path string, obj manifest.Object, errno syscall.Errno) bool {
	key := fault{path: path, errno: errno}
	if obj.Ref != "" {
		key.object, key.path = obj.Key(), ""
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, ok := r.logged[key]; ok {
		return false
	}
	if r.logged == nil || len(r.logged) >= maxFaults {
		r.logged = map[fault]struct{}{}
	}
	r.logged[key] = struct{}{}
	return true
}

func (r *faults) logOne(path string, obj manifest.Object, err error, errno syscall.Errno) {
	attrs := []any{"path", path, "errno", errno.Error()}
	if obj.Ref != "" {
		attrs = append(attrs, "ref", obj.Ref, "pin", obj.Pin.String())
	}
	if e := typed(err); e != nil && (e.Expected != "" || e.Found != "") {
		attrs = append(attrs, "expected", e.Expected, "found", e.Found)
	}
	r.log.Error("request failed: "+err.Error(), attrs...)
}
