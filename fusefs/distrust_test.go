package fusefs_test

import (
	"os"
	"sync"
	"testing"

	"github.com/pinfs/pinfs/fusefs"
	"github.com/pinfs/pinfs/manifest"
)

// Bytes that turn out to be wrong leave the kernel's cache too, wherever they are.
func TestDistrust(t *testing.T) {
	mem := newMemory()
	wrong, right := random(1, 300_000), random(2, 300_000)
	bad := mem.put("dir/bad", wrong)
	again := bad
	again.Path = "same object"
	good := mem.put("good", random(3, 300_000))
	tree := build(t, exact, "", bad, again, good)
	var mu sync.Mutex
	told := map[string]error{}
	m := mount(t, fusefs.Options{Content: mem, Tree: tree, OnError: func(path string, obj manifest.Object, err error) {
		mu.Lock()
		defer mu.Unlock()
		told[path] = err
	}})
	read := func(name string) []byte {
		t.Helper()
		data, err := os.ReadFile(m.Dir() + "/" + name)
		must(t, err)
		return data
	}
	for _, name := range []string{"dir/bad", "same object", "good"} {
		read(name)
	}
	mem.put("dir/bad", right)
	if got := read("dir/bad"); string(got) != string(wrong) {
		t.Fatal("the kernel does not keep what was read: the test shows nothing")
	}
	reads := mem.reads.Load()
	cause := &manifest.Error{Kind: manifest.KindCorrupt, Op: "read", Ref: bad.Ref}
	m.Distrust(t.Context(), map[manifest.Object]error{bad.Object(): cause})
	for _, name := range []string{"dir/bad", "same object"} {
		if got := read(name); string(got) != string(right) {
			t.Errorf("%s: the kernel still has the old bytes", name)
		}
	}
	if mem.reads.Load() == reads {
		t.Error("nothing was read again")
	}
	reads = mem.reads.Load()
	read("good")
	if got := mem.reads.Load(); got != reads {
		t.Errorf("%d reads of a file that nobody distrusts", got-reads)
	}
	mu.Lock()
	defer mu.Unlock()
	if len(told) != 2 || told["vision/mnist:v0/dir/bad"] != cause || told["vision/mnist:v0/same object"] != cause {
		t.Errorf("told of %v", told)
	}
}
