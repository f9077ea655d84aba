package integration_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/s3"
	"golang.org/x/sync/errgroup"

	"github.com/pinfs/pinfs/integration/servers"
)

// warmed is what `pinfs warm --json` prints.
type warmed struct {
	Files        int64 `json:"files"`
	Bytes        int64 `json:"bytes"`
	Fetched      int64 `json:"fetched"`
	FetchedBytes int64 `json:"fetched_bytes"`
	Here         int64 `json:"here"`
	FailedCount  int64 `json:"failed_count"`
	Failed       []struct {
		Path, Ref, Expected, Found, Error string
	} `json:"failed"`
}

// warm runs pinfs warm and wants its exit code.
func (h *host) warm(code int, args ...string) (w warmed) {
	h.t.Helper()
	r := h.run(append([]string{"--json", "warm"}, args...)...)
	if r.code != code {
		h.t.Fatalf("warm: exit %d, want %d: %s%s", r.code, code, r.stdout, r.stderr)
	}
	if r.stdout != "" {
		if err := json.Unmarshal([]byte(r.stdout), &w); err != nil {
			h.t.Fatalf("pinfs warm: %v\n%s", err, r.stdout)
		}
	}
	return w
}

// manySmall are n small objects below d/, and their content by path.
func manySmall(t testing.TB, bucket string, n, size int) map[string][]byte {
	t.Helper()
	all := randomBytes(n*size, 7)
	want, objects := map[string][]byte{}, map[string][]byte{}
	for i := range n {
		name := fmt.Sprintf("dir-%02d/%06d", i/500, i)
		want[name] = all[i*size : (i+1)*size]
		objects["d/"+name] = want[name]
	}
	putAll(t, bucket, objects)
	return want
}

// TestWarm: after a warm of 2,000 small and 3 large files nothing of the version is
// asked for any more, by its readers or by another warm, and all of it is right.
func TestWarm(t *testing.T) {
	h, p := newHost(t).behind()
	bucket := newBucket(t, true)
	want := manySmall(t, bucket, 2000, 1500)
	for i, size := range []int{3 << 20, 17<<20 + 5, 40 << 20} {
		name := fmt.Sprintf("large-%d", i)
		want[name] = randomBytes(size, byte(i))
		shared.s3.Put(t, bucket, "d/"+name, want[name])
	}
	h.put("warm/all", "s3://"+bucket+"/d")
	w := h.warm(0, "warm/all:v0")
	if w.Files != 2003 || w.Fetched != 2003 || w.Here != 0 || w.FailedCount != 0 || w.Bytes != w.FetchedBytes {
		t.Errorf("warm: %+v", w)
	}
	before := p.Count(anyRequest)
	if w := h.warm(0, "warm/all:v0"); w.Here != 2003 || w.Fetched != 0 {
		t.Errorf("warm again: %+v", w)
	}
	mnt := h.mount("warm/all:v0")
	for range 2 {
		wantTree(t, mnt, want)
		forgetPages(t)
	}
	if after := p.Count(anyRequest); after != before {
		t.Errorf("%d requests after the warm, want none", after-before)
	}
}

func anyRequest(string, string) bool { return true }

// TestWarmInTrouble: what a warm says and how it ends when not all can be had.
func TestWarmInTrouble(t *testing.T) {
	h, p := newHost(t).behind()
	bucket := newBucket(t, false)
	want := manySmall(t, bucket, 300, 400)
	h.put("warm/trouble", "s3://"+bucket+"/d")

	dead := h.with("AWS_ENDPOINT_URL=http://127.0.0.1:1", "AWS_ENDPOINT_URL_S3=http://127.0.0.1:1").cacheAt("dead")
	gone := dead.start("warm", "warm/trouble:v0") // it is waited for at the end
	began := time.Now()

	tiny, before := h.cacheAt("tiny"), gets(p)
	r := tiny.run("warm", "warm/trouble:v0", "--cache-size", "100KB")
	wantOneLine(t, r, 7, "does not fit", "--cache-size")
	if n := gets(p); n != before {
		t.Errorf("%d requests for what does not fit", n-before)
	}

	interruptedWarm(t, h.cacheAt("stopped"), p, want)

	for _, i := range []int{3, 77} {
		shared.s3.Put(t, bucket, fmt.Sprintf("d/dir-00/%06d", i), []byte("another"))
	}
	w := h.warm(6, "warm/trouble:v0")
	if w.Files != 298 || w.FailedCount != 2 || len(w.Failed) != 2 || w.Failed[1].Path != "dir-00/000077" ||
		w.Failed[1].Ref != "s3://"+bucket+"/d/dir-00/000077" || w.Failed[1].Expected == "" || w.Failed[1].Found == "" {
		t.Errorf("two files were overwritten: %+v", w)
	}
	if r := h.run("warm", "warm/trouble:v0", "--path-prefix", "dir-00/000003"); r.code != 5 || !strings.Contains(r.stderr, "000003") {
		t.Errorf("only an overwritten file: exit %d: %s", r.code, r.stderr)
	}

	end := gone.end()
	if end.code != 4 || !strings.Contains(end.stderr, "300 files could not be cached") || !strings.Contains(end.stderr, "no answer") {
		t.Errorf("of a server that is gone: exit %d after %v\n%s%s", end.code, time.Since(began), end.stdout, tail(end.stderr, 1000))
	}
	dead.waitNoDaemon()
}

// interruptedWarm: Ctrl-C in the middle ends the job at once and says how far it was;
// a second run asks for the rest only.
func interruptedWarm(t *testing.T, h *host, p *servers.FaultProxy, want map[string][]byte) {
	t.Helper()
	p.Inject(servers.Fault{Match: func(r *http.Request) bool { return r.Method == http.MethodGet }, Skip: 100, Silent: true})
	before := gets(p)
	first := h.start("warm", "warm/trouble:v0", "--parallel", "16")
	first.interrupt(func() bool { return gets(p) >= before+116 })
	if text := first.errs.String(); !strings.Contains(text, "of 300 files were done") || !strings.Contains(text, "warm again to go on") {
		t.Errorf("interrupted: %s", text)
	}
	p.Heal()
	h.waitNoDaemon()
	asked := gets(p)
	if asked > before+120 {
		t.Errorf("%d requests of 16 at once, 100 of which were answered: the job went on", asked-before)
	}
	w := h.warm(0, "warm/trouble:v0")
	if w.Files != 300 || w.Here < 80 || w.Fetched != 300-w.Here || !onceEach(gets(p)-asked, int(w.Fetched)) {
		t.Errorf("the second run: %+v, with %d requests", w, gets(p)-asked)
	}
	mnt := h.mount("warm/trouble:v0")
	wantTree(t, mnt, want)
}

// TestFillBehindReaders: while a fill is under way its readers get what they ask
// for; after it the source is not asked any more.
func TestFillBehindReaders(t *testing.T) {
	h, p := newHost(t).behind()
	bucket := newBucket(t, true)
	want := manySmall(t, bucket, 400, 3000)
	want["zz"] = randomBytes(24<<20, 3)
	shared.s3.Put(t, bucket, "d/zz", want["zz"])
	h.put("warm/fill", "s3://"+bucket+"/d")
	p.Inject(servers.Fault{Match: func(r *http.Request) bool { return r.Method == http.MethodGet }, Delay: 5 * time.Millisecond})
	mnt := h.mount("--fill", "warm/fill:v0")
	var readers sync.WaitGroup
	for range 2 {
		readers.Go(func() { wantTree(t, mnt, want) })
	}
	readers.Wait()
	var got fillStatus
	eventually(t, "the fill is done", func() bool {
		got = h.fill()
		return got.State == "done"
	})
	if got.Files != 401 || got.TotalFiles != 401 || got.Failed != 0 || got.Bytes != got.TotalBytes {
		t.Errorf("status: %+v", got)
	}
	before := p.Count(anyRequest)
	forgetPages(t)
	wantTree(t, mnt, want)
	if after := p.Count(anyRequest); after != before {
		t.Errorf("%d requests after the fill, want none", after-before)
	}
}

// fillStatus is the fill of a mount as `pinfs status --json` has it.
type fillStatus struct {
	State      string `json:"state"`
	Files      int64  `json:"files"`
	TotalFiles int64  `json:"total_files"`
	Bytes      int64  `json:"bytes"`
	TotalBytes int64  `json:"total_bytes"`
	Failed     int64  `json:"failed"`
}

// fill gives the status of the only fill.
func (h *host) fill() fillStatus {
	h.t.Helper()
	var s struct {
		Mounts []struct{ Fill *fillStatus } `json:"mounts"`
	}
	h.json(&s, "status")
	if len(s.Mounts) != 1 || s.Mounts[0].Fill == nil {
		h.t.Fatalf("no mount with a fill: %+v", s)
	}
	return *s.Mounts[0].Fill
}

// BenchmarkWarm brings 10,000 objects of 8 KiB to an empty cache, and gets them with
// the bare client of the SDK with 4, 16 and 64 requests at once, in turns. of-best is
// the rate of the warm in units of the best of those; again the time of a second warm,
// warm-16 that of one with as many at once.
func BenchmarkWarm(b *testing.B) {
	const n, size = 10_000, 8 << 10
	h := newHost(b)
	bucket := newBucket(b, false)
	manySmall(b, bucket, n, size)
	h.put("speed/small", "s3://"+bucket+"/d")
	client := shared.s3.Client(b)
	times := map[string][]time.Duration{}
	for b.Loop() {
		for _, run := range [][2]string{{"warm", "64"}, {"again", "64"}, {"warm-16", "16"}} {
			cache := "cache" + run[1] + fmt.Sprint(len(times["warm-16"]))
			one := h.with("PINFS_CACHE_DIR=" + filepath.Join(h.dir, cache))
			start := time.Now()
			one.must("warm", "speed/small:v0", "--parallel", run[1])
			times[run[0]] = append(times[run[0]], time.Since(start))
		}
		for _, at := range []int{4, 16, 64} {
			name := fmt.Sprint("bare-", at)
			times[name] = append(times[name], bareGet(b, client, bucket, n, size, at))
		}
	}
	best := min(median(times["bare-4"]), median(times["bare-16"]), median(times["bare-64"]))
	b.ReportMetric(best/median(times["warm"]), "of-best")
	for name, t := range times {
		b.ReportMetric(median(t)/1e9, name+"-s")
	}
	b.ReportMetric(0, "ns/op")
	b.Logf("%d cores", runtime.NumCPU())
}

// bareGet gets all objects as the simplest program would, and throws them away.
func bareGet(b *testing.B, c *s3.Client, bucket string, n, size, at int) time.Duration {
	b.Helper()
	g, ctx := errgroup.WithContext(context.Background())
	g.SetLimit(at)
	start := time.Now()
	for i := range n {
		g.Go(func() error {
			key := fmt.Sprintf("d/dir-%02d/%06d", i/500, i)
			out, err := c.GetObject(ctx, &s3.GetObjectInput{Bucket: &bucket, Key: &key})
			if err != nil {
				return err
			}
			defer out.Body.Close()
			var got bytes.Buffer
			if _, err := io.Copy(&got, out.Body); err != nil || got.Len() != size {
				return fmt.Errorf("%s: %d bytes: %w", key, got.Len(), err)
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		b.Fatal(err)
	}
	return time.Since(start)
}
