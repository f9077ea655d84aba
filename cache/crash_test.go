package cache_test

import (
	"bytes"
	"context"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/pinfs/pinfs/cache"
	"github.com/pinfs/pinfs/manifest"
	"github.com/pinfs/pinfs/testwarden"
)

const childEnv = "PINFS_CACHE_TEST_CHILD"

// crashObjects are the same in parent and child.
func crashObjects(s *source) []manifest.Object {
	var objs []manifest.Object
	for i := range 300 {
		size := []int{500, 5_000, 64 << 10, 300_000, 2 << 20}[i%5]
		data := content(uint64(i), size)
		obj := s.put(ref(i), data)
		if i%3 == 0 {
			obj = s.putFile("file:///"+ref(i), data)
		}
		objs = append(objs, obj)
	}
	return objs
}

// child fills the cache in dir, round and round with a quota that makes it
// evict, until it is killed. It says so on standard output when it begins.
func child(dir string) {
	s := newSource()
	objs := crashObjects(s)
	o := options(dir, s)
	o.Size, o.UseGrain = 64<<20, time.Millisecond
	c, err := cache.Open(o)
	if err != nil {
		panic(err)
	}
	_, _ = os.Stdout.WriteString("filling\n")
	var wg sync.WaitGroup
	for i := range 4 {
		rnd := rand.New(rand.NewPCG(uint64(i), uint64(time.Now().UnixNano())))
		wg.Go(func() {
			buf := make([]byte, 200_000)
			for {
				obj := objs[rnd.IntN(len(objs))]
				off := rnd.Int64N(obj.Size)
				n, err := c.ReadAt(context.Background(), obj, buf, off)
				if err != nil && err != io.EOF || !bytes.Equal(buf[:n], s.data[obj.Ref][off:off+int64(n)]) {
					panic("wrong bytes")
				}
			}
		})
	}
	wg.Wait()
}

// TestKill kills a process that fills, and looks at what is served after.
func TestKill(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "cache")
	s := newSource()
	objs := crashObjects(s)
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	rounds, hits := 20, int64(0)
	if testing.Short() {
		rounds = 5
	}
	for round := range rounds {
		killed(t, exe, dir, time.Duration(rand.IntN(150))*time.Millisecond)
		o := options(dir, s)
		o.Size = 64 << 20
		c, err := cache.Open(o)
		if err != nil {
			t.Fatalf("round %d: %v", round, err)
		}
		for _, i := range rand.Perm(len(objs))[:100] {
			readAll(t, c, objs[i], s.data[objs[i].Ref], 150_000)
		}
		hits += c.Stats().HitBytes
		if used := c.Stats().Used; used > o.Size {
			t.Errorf("round %d: used %d, want at most %d", round, used, o.Size)
		}
		if round%2 == 0 {
			if err := c.Drop(t.Context(), objs[round%len(objs)]); err != nil {
				t.Error(err)
			}
		}
		if err := c.Close(); err != nil {
			t.Errorf("round %d: Close: %v", round, err)
		}
	}
	if hits < int64(rounds)<<20 {
		t.Errorf("bytes found after kills: got %d, too few for the test to mean anything", hits)
	}
}

// killed runs a child and kills it some time after it began to fill.
func killed(t *testing.T, exe, dir string, after time.Duration) {
	t.Helper()
	cmd := testwarden.Command(t.Context(), exe, "-test.run=^$")
	cmd.Env = append(os.Environ(), childEnv+"="+dir)
	cmd.Stderr = t.Output()
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	begun := make([]byte, len("filling\n"))
	if _, err := io.ReadFull(out, begun); err != nil {
		t.Errorf("child never began: %v", err)
	}
	time.Sleep(after)
	if err := cmd.Process.Kill(); err != nil {
		t.Errorf("the child ended by itself: %v", err)
	}
	if err := cmd.Wait(); cmd.ProcessState.Exited() {
		t.Errorf("the child ended by itself: %v", err)
	}
}
