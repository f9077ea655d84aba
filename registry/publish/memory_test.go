package publish_test

import (
	"context"
	"fmt"
	"runtime"
	"testing"

	"github.com/pinfs/pinfs/backends"
	"github.com/pinfs/pinfs/registry/publish"
)

// endless lists as many objects as a test wants and looks at the heap meanwhile.
type endless struct {
	backends.Backend
	objects int
	looks   []uint64 // live heap at each quarter, bytes
}

func (e *endless) List(_ context.Context, uri string, fn func(backends.Info) error) error {
	for i := range e.objects {
		name := fmt.Sprintf("folder-%03d/object-%d", i%1000, i)
		if err := fn(backends.Info{Name: name, Ref: uri + "/" + name, Digest: fmt.Sprintf("%032x", i), Size: 1}); err != nil {
			return err
		}
		if (i+1)%(e.objects/4) == 0 {
			var m runtime.MemStats
			runtime.GC()
			runtime.ReadMemStats(&m)
			e.looks = append(e.looks, m.HeapAlloc)
		}
	}
	return nil
}

// Memory does not grow with the number of objects once the builder spills.
func TestPutInBoundedMemory(t *testing.T) {
	w, e := newWorld(t), &endless{objects: 200_000}
	o := w.options("endless://b/d")
	o.Backend, o.MemoryBytes = e, 2<<20
	r, err := publish.Put(t.Context(), o)
	must(t, err)
	if r.Files != int64(e.objects) {
		t.Errorf("got %d files, want %d", r.Files, e.objects)
	}
	if first, last := e.looks[0], e.looks[3]; last > first+4<<20 {
		t.Errorf("live heap grew from %d to %d bytes while 150,000 objects were listed", first, last)
	}
	w.wantClean(t, 1)
}
