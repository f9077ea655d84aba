package fusefs_test

import (
	"context"
	"fmt"
	"os"

	"github.com/pinfs/pinfs/fusefs"
	"github.com/pinfs/pinfs/manifest/snapshot"
)

// child runs one role of a test in a process of its own and gives its exit code.
func child(role string) int {
	roles := map[string]func() error{
		"direct":   readDirectly,
		"buffered": readBuffered,
		"mapped":   readMapped,
		"sent":     readSent,
		"spliced":  readSpliced,
		"device":   openDevice,
		"ahead":    readAhead,
		"nobody":   mountAsNobody,
		"worker":   work,
		"serve":    serve,
	}
	if err := roles[role](); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// tiny gives a version of one file "f" that says "bytes", in a process without t.
func tiny(dir string) (*memory, *fusefs.Tree, error) {
	mem := newMemory()
	b, err := snapshot.NewBuilder(snapshot.BuilderOptions{Meta: exact.Meta, TempDir: dir})
	if err != nil {
		return nil, nil, err
	}
	defer b.Close()
	if err := b.Add(mem.put("f", []byte("bytes"))); err != nil {
		return nil, nil, err
	}
	if _, err := b.Build(context.Background(), dir+"/snapshot"); err != nil {
		return nil, nil, err
	}
	s, err := snapshot.Open(dir + "/snapshot")
	return mem, &fusefs.Tree{Snapshot: s, Project: "p", Name: "a:v0", Created: created}, err
}
