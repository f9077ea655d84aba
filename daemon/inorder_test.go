package daemon_test

import (
	"bytes"
	"context"
	"crypto/md5"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pinfs/pinfs/backends/memstore"
	"github.com/pinfs/pinfs/manifest"
)

// putMany makes p/objects of n files of 8 KiB in four directories, in a store, and
// gives their paths in order.
func putMany(h *house, n int) (*memstore.Store, []string) {
	store := memstore.NewVersioned()
	entries, paths := map[string]manifest.Entry{}, make([]string, n)
	for i := range n {
		data, ref := fileData(i), fmt.Sprintf("mem://b/%06d", i)
		sum := md5.Sum(data)
		paths[i] = fmt.Sprintf("/d%d/f%06d", i*4/n, i)
		entries[paths[i][1:]] = manifest.Entry{Ref: ref, Size: int64(len(data)), Digest: hex.EncodeToString(sum[:]),
			Extra: map[string]any{manifest.ExtraVersion: store.Put(ref, data)}}
	}
	h.putObjects(entries)
	return store, paths
}

func fileData(i int) []byte { return bytes.Repeat([]byte(fmt.Sprintf("%08d", i)), 1024) }

// mountStore mounts p/objects:v0 with a cache of its own.
func mountStore(h *house, store *memstore.Store) string {
	h.t.Helper()
	d := storeDaemon(h, store)
	req := h.request("p/objects:v0")
	_, err := d.Mount(h.t.Context(), req)
	must(h.t, err)
	return req.Dir
}

func readFiles(t *testing.T, dir string, paths []string) {
	for _, path := range paths {
		got, err := readFile(t, dir+path)
		if err != nil {
			t.Errorf("%s: %v", path, err)
			return
		}
		if !bytes.Equal(got, fileData(number(path))) {
			t.Errorf("%s: other bytes", path)
		}
	}
}

func number(path string) (n int) {
	_, _ = fmt.Sscanf(path[len(path)-6:], "%d", &n)
	return n
}

// TestReadInOrderIsFetchedAhead: a source that answers only when several ask. One
// reader of many small files comes to their end, and each is asked for once.
func TestReadInOrderIsFetchedAhead(t *testing.T) {
	h := newHouse(t)
	store, paths := putMany(h, 400)
	dir := mountStore(h, store)
	var now, alone, together atomic.Int64
	store.SetHook(memstore.Only("open", func(ctx context.Context, _ memstore.Request) memstore.Fault {
		defer now.Add(-1)
		if now.Add(1) > 2 {
			together.Add(1)
		} else {
			alone.Add(1)
		}
		select { // an answer takes a while, so that requests can meet
		case <-ctx.Done():
		case <-time.After(5 * time.Millisecond):
		}
		return memstore.Fault{}
	}))
	readFiles(t, dir, paths)
	if n := store.Counts().Open; n != int64(len(paths)) {
		t.Errorf("%d requests for %d files", n, len(paths))
	}
	if n := together.Load(); n < int64(len(paths))/2 {
		t.Errorf("%d of %d requests met others, %d did not: nothing is fetched ahead", n, len(paths), alone.Load())
	}
}

// TestShuffledReadsFetchNothingElse: readers in no order of a part of the files ask
// for that part and little more.
func TestShuffledReadsFetchNothingElse(t *testing.T) {
	h := newHouse(t)
	store, paths := putMany(h, 1200)
	dir := mountStore(h, store)
	rand.New(rand.NewPCG(1, 2)).Shuffle(len(paths), func(i, j int) { paths[i], paths[j] = paths[j], paths[i] })
	var readers sync.WaitGroup
	for i := range 4 {
		readers.Go(func() { readFiles(t, dir, paths[i*100:(i+1)*100]) })
	}
	readers.Wait()
	if n := store.Counts().Open; n < 400 || n > 412 {
		t.Errorf("%d requests for 400 files in no order", n)
	}
}
