package daemon

import (
	"container/list"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/pinfs/pinfs/fusefs"
	"github.com/pinfs/pinfs/manifest"
)

// maxFaults bounds the errors that are remembered; the oldest are forgotten.
const maxFaults = 1000

// faultLog keeps the last error of each object.
type faultLog struct {
	redact func(string) string

	mu    sync.Mutex // guards all below
	byKey map[faultKey]*list.Element
	order list.List // of *faultEntry, oldest first
}

type faultKey struct {
	object [32]byte
	path   string // only where no object is meant
}

type faultEntry struct {
	key   faultKey
	fault Fault
}

func newFaultLog(redact func(string) string) *faultLog {
	return &faultLog{redact: redact, byKey: map[faultKey]*list.Element{}}
}

// add remembers err of obj, which a reader of path got.
func (l *faultLog) add(path string, obj manifest.Object, err error) {
	key := faultKey{path: path}
	if obj.Ref != "" {
		key = faultKey{object: obj.Key()}
	}
	f := Fault{Path: path, Ref: obj.Ref, Errno: unix.ErrnoName(fusefs.Errno(err)), Message: l.redact(err.Error()), Time: time.Now().UTC()}
	l.mu.Lock()
	defer l.mu.Unlock()
	if old, ok := l.byKey[key]; ok {
		l.order.Remove(old)
	}
	l.byKey[key] = l.order.PushBack(&faultEntry{key, f})
	if l.order.Len() > maxFaults {
		oldest := l.order.Remove(l.order.Front()).(*faultEntry)
		delete(l.byKey, oldest.key)
	}
}

// list gives the errors, newest first.
func (l *faultLog) list() []Fault {
	l.mu.Lock()
	defer l.mu.Unlock()
	faults := make([]Fault, 0, l.order.Len())
	for e := l.order.Back(); e != nil; e = e.Prev() {
		faults = append(faults, e.Value.(*faultEntry).fault)
	}
	return faults
}
