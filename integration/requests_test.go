package integration_test

import (
	"bufio"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// requests gives how many requests the kernel has sent to the mount's daemon.
func (h *host) requests(dir string) uint64 {
	h.t.Helper()
	for _, m := range h.status().Mounts {
		if m.Dir == dir {
			return m.Requests
		}
	}
	h.t.Fatalf("%s is not in status", dir)
	return 0
}

// settled waits until no request comes any more, those for names that are listed ahead
// of readers among them, and gives their number.
func (h *host) settled(dir string) uint64 {
	h.t.Helper()
	last, since := h.requests(dir), time.Now()
	for limit := time.Now().Add(20 * time.Second); time.Since(since) < 300*time.Millisecond; time.Sleep(30 * time.Millisecond) {
		if now := h.requests(dir); now != last {
			last, since = now, time.Now()
		}
		if time.Now().After(limit) {
			h.t.Fatalf("requests keep coming: %d", last)
		}
	}
	return last
}

// TestWarmOpenAsksNothing: after a first read, open+read+close of a file never
// leaves the kernel.
func TestWarmOpenAsksNothing(t *testing.T) {
	h := newHost(t)
	shared.s3.CreateBucket(t, "warm", true)
	const files = 50
	for i := range files {
		shared.s3.Put(t, "warm", fmt.Sprintf("d/sub/%d", i), []byte(fmt.Sprintf("file %d", i)))
	}
	h.put("speed/warm", "s3://warm/d")
	mnt := h.mount("speed/warm:v0")
	round := func() {
		for i := range files {
			if got := read(t, filepath.Join(mnt, "sub", fmt.Sprint(i))); string(got) != fmt.Sprintf("file %d", i) {
				t.Fatalf("file %d reads %q", i, got)
			}
		}
	}
	round()
	before := h.settled(mnt)
	if before == 0 {
		t.Fatal("status counts no requests: the test would say nothing")
	}
	for range 10 {
		round()
	}
	if after := h.requests(mnt); after != before {
		t.Errorf("%d warm open+read+close sent %d requests, want none", 10*files, after-before)
	}
}

// TestWalk: a first walk of 100,000 entries costs a fraction of a request each
// and asks no source; the second one costs none below the version.
func TestWalk(t *testing.T) {
	const entries = 100_000
	h := newHost(t)
	file := filepath.Join(t.TempDir(), "m.json")
	writeManifest(t, file, entries)
	h.must("import", "--name", "speed/walk", "--type", "dataset", file)
	mnt := h.mount("speed/walk:v0")
	start := h.requests(mnt)
	first := walk(t, mnt, entries)
	sent := h.requests(mnt) - start
	t.Logf("first walk: %.2f µs and %.3f requests an entry", float64(first.Microseconds())/entries, float64(sent)/entries)
	if sent > entries/10 {
		t.Errorf("the first walk sent %d requests for %d entries, want at most a tenth", sent, entries)
	}
	start = h.requests(mnt)
	again := walk(t, mnt, entries)
	sent = h.requests(mnt) - start
	t.Logf("second walk: %.2f µs an entry, %d requests", float64(again.Microseconds())/entries, sent)
	if sent > 10 {
		t.Errorf("the second walk sent %d requests, want none to speak of", sent)
	}
	start = h.requests(mnt)
	program(t, mnt, "sh", "-c", "ls -lR . >/dev/null")
	if sent := h.requests(mnt) - start; sent > 200 {
		t.Errorf("ls -lR after the walks sent %d requests for %d entries, want none to speak of", sent, entries)
	}
}

// walk lists and stats everything below dir.
func walk(t testing.TB, dir string, want int) time.Duration {
	t.Helper()
	start := time.Now()
	out := program(t, dir, "find", ".", "-type", "f", "-size", "-2", "-printf", ".")
	took := time.Since(start)
	if len(out) != want {
		t.Fatalf("find saw %d files, want %d", len(out), want)
	}
	return took
}

// writeManifest writes W&B's JSON with n entries in directories of 1,000.
func writeManifest(t testing.TB, file string, n int) {
	t.Helper()
	f, err := os.OpenFile(file, os.O_CREATE|os.O_WRONLY|os.O_EXCL, fs.FileMode(0o644))
	if err != nil {
		t.Fatal(err)
	}
	w := bufio.NewWriter(f)
	fmt.Fprint(w, `{"version":1,"storagePolicy":"wandb-storage-policy-v1","storagePolicyConfig":{},"contents":{`)
	for i := range n {
		if i > 0 {
			fmt.Fprint(w, ",")
		}
		fmt.Fprintf(w, `"dir-%03d/image-%06d.jpg":{"digest":"%032x","ref":"s3://b/d/dir-%03d/image-%06d.jpg","size":%d,"extra":{"etag":"%032x","versionID":"%026d"}}`,
			i/1000, i, i, i/1000, i, 100+i%400, i, i)
	}
	fmt.Fprint(w, "}}")
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}
