package fusefs_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/pinfs/pinfs/fusefs"
	"golang.org/x/sys/unix"
)

// TestPlacesInAMillion: the place after a name is the same for whoever tells it, each
// time, and leads behind that name; the server needs little memory for it.
func TestPlacesInAMillion(t *testing.T) {
	const n = 1_000_000
	m := mount(t, fusefs.Options{Content: newMemory(), Tree: flat(t, n)})
	before := ownMemory(t)
	var fds [2]int
	for i := range fds {
		fd, err := unix.Open(m.Dir()+"/d", unix.O_RDONLY|unix.O_DIRECTORY, 0)
		must(t, err)
		defer unix.Close(fd)
		fds[i] = fd
	}
	places := map[string]int64{}
	buf := make([]byte, 64<<10)
	for part := getdents(t, fds[0], buf); len(part) > 0; part = getdents(t, fds[0], buf) {
		for _, d := range part {
			if rand.IntN(2000) == 0 {
				places[d.name] = d.off
			}
		}
	}
	for name, place := range places {
		i, err := strconv.Atoi(strings.TrimSuffix(name, ".png"))
		if err != nil || i == n-1 {
			continue // a dot, or the last one
		}
		for _, fd := range fds {
			_, err := unix.Seek(fd, place, 0)
			must(t, err)
			if next := getdents(t, fd, buf); len(next) == 0 || next[0].name != fmt.Sprintf("%07d.png", i+1) {
				t.Fatalf("behind %s comes %+v", name, next[:min(1, len(next))])
			}
		}
		_, err = unix.Seek(fds[1], 0, 0)
		must(t, err)
		if first := getdents(t, fds[1], buf); first[0].name != "." {
			t.Fatalf("after a rewind comes %s", first[0].name)
		}
	}
	if len(places) < 100 {
		t.Errorf("only %d places were tried", len(places))
	}
	if grown := ownMemory(t) - before; grown > 128<<20 {
		t.Errorf("memory grew by %d MiB", grown>>20)
	}
}

// ownMemory is the resident memory of this process, which is the server too, without the
// pages of files.
func ownMemory(t *testing.T) int64 {
	t.Helper()
	text, err := os.ReadFile("/proc/self/status")
	must(t, err)
	_, rest, _ := strings.Cut(string(text), "RssAnon:")
	kib, err := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
	must(t, err)
	return kib << 10
}
