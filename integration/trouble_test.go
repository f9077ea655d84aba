package integration_test

import (
	"bytes"
	"context"
	crand "crypto/rand"
	"errors"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/pinfs/pinfs/integration/servers"
)

// behind gives the host with a proxy between it and the S3 server.
func (h *host) behind() (*host, *servers.FaultProxy) {
	h.t.Helper()
	p := servers.StartFaultProxy(h.t, shared.s3.Endpoint)
	return h.with("AWS_ENDPOINT_URL="+p.Endpoint, "AWS_ENDPOINT_URL_S3="+p.Endpoint), p
}

// cacheAt gives the host with another cache directory, and so another daemon.
func (h *host) cacheAt(name string) *host {
	return h.with("PINFS_CACHE_DIR=" + filepath.Join(h.dir, name))
}

// newBucket makes a bucket whose name no other test has.
func newBucket(t testing.TB, versioned bool) string {
	t.Helper()
	name := "test-" + strings.ToLower(crand.Text()[:12])
	shared.s3.CreateBucket(t, name, versioned)
	return name
}

// gets counts the requests for objects that came through a proxy.
func gets(p *servers.FaultProxy) int {
	return p.Count(func(method, path string) bool {
		return method == http.MethodGet && !strings.Contains(path, "list-type")
	})
}

// onceEach tells whether asked requests may be one for each of files, and at most one
// of 20 again: the hedges of answers that were late.
func onceEach(asked, files int) bool { return asked >= files && asked <= files+files/20 }

// getOf matches requests for the content of objects whose key ends with suffix.
func getOf(suffix string) func(*http.Request) bool {
	return func(r *http.Request) bool { return r.Method == http.MethodGet && strings.HasSuffix(r.URL.Path, suffix) }
}

// running is a command in the background.
type running struct {
	t           testing.TB
	cmd         *exec.Cmd
	out, errs   bytes.Buffer
	description string
}

// start starts pinfs; end must follow.
func (h *host) start(args ...string) *running {
	h.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), commandDeadline)
	r := &running{t: h.t, cmd: h.command(ctx, args...), description: strings.Join(args, " ")}
	h.t.Cleanup(cancel)
	r.cmd.Stdout, r.cmd.Stderr = &r.out, &r.errs
	if err := r.cmd.Start(); err != nil {
		h.t.Fatal(err)
	}
	return r
}

// end waits for the command. A signal that killed it is code -1.
func (r *running) end() result {
	r.t.Helper()
	err := r.cmd.Wait()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		r.t.Fatalf("pinfs %s: %v\n%s", r.description, err, r.errs.String())
	}
	return result{r.out.String(), r.errs.String(), r.cmd.ProcessState.ExitCode()}
}

func (r *running) signal(s syscall.Signal) {
	r.t.Helper()
	if err := r.cmd.Process.Signal(s); err != nil {
		r.t.Fatalf("pinfs %s ended before it got a signal: %v\n%s%s", r.description, err, r.out.String(), r.errs.String())
	}
}

// interruptDeadline is long enough for what is cleaned up on the busiest machine.
const interruptDeadline = 20 * time.Second

// interrupt sends SIGINT as soon as ready says so, and wants the end that all
// interrupted commands have.
func (r *running) interrupt(ready func() bool) {
	r.t.Helper()
	eventually(r.t, "pinfs "+r.description+" is in the middle of it", ready)
	r.signal(syscall.SIGINT)
	late := time.AfterFunc(interruptDeadline, func() { _ = r.cmd.Process.Kill() })
	got := r.end()
	if !late.Stop() {
		r.t.Errorf("pinfs %s had to be killed %v after an interrupt", r.description, interruptDeadline)
	}
	wantOneLine(r.t, got, 130, "interrupted")
	if got.stdout != "" {
		r.t.Errorf("an interrupted pinfs %s printed %q", r.description, got.stdout)
	}
}

// allAtOnce runs n commands at the same time.
func (h *host) allAtOnce(n int, args func(i int) []string) []result {
	h.t.Helper()
	all := make([]*running, n)
	for i := range all {
		all[i] = h.start(args(i)...)
	}
	results := make([]result, n)
	for i, r := range all {
		results[i] = r.end()
	}
	return results
}

// eventually waits for something that is about to happen.
func eventually(t testing.TB, what string, happened func() bool) {
	t.Helper()
	deadline := time.Now().Add(30 * time.Second)
	for !happened() {
		if time.Now().After(deadline) {
			t.Fatalf("after 30 s not yet: %s", what)
		}
		time.Sleep(2 * time.Millisecond)
	}
}

// emptyDir makes a directory to mount on.
func emptyDir(t testing.TB) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "mnt")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

// isMounted tells whether something is mounted at dir.
func isMounted(t testing.TB, dir string) bool {
	t.Helper()
	var point, above syscall.Stat_t
	if err := syscall.Lstat(filepath.Dir(dir), &above); err != nil {
		t.Fatal(err)
	}
	err := syscall.Lstat(dir, &point)
	return err != nil || point.Dev != above.Dev
}

// alive tells whether a process is there, zombies not counted.
func alive(pid int) bool {
	stat, err := os.ReadFile(filepath.Join("/proc", itoa(pid), "stat"))
	_, state, _ := strings.Cut(string(stat), ") ")
	return err == nil && !strings.HasPrefix(state, "Z")
}

// forgetPages makes the kernel ask for file contents again.
func forgetPages(t testing.TB) {
	t.Helper()
	if err := os.WriteFile("/proc/sys/vm/drop_caches", []byte("3"), 0); err != nil {
		t.Fatalf("%v: these tests need root", err)
	}
}

// randomBytes are the same for the same seed.
func randomBytes(n int, seed byte) []byte {
	data := make([]byte, n)
	random := rand.NewChaCha8([32]byte{seed})
	random.Read(data)
	return data
}

// putAll puts objects, some at a time.
func putAll(t testing.TB, bucket string, objects map[string][]byte) {
	t.Helper()
	var all sync.WaitGroup
	slots := make(chan struct{}, 8)
	for key, data := range objects {
		all.Add(1)
		slots <- struct{}{}
		go func() {
			defer all.Done()
			defer func() { <-slots }()
			shared.s3.Put(t, bucket, key, data)
		}()
	}
	all.Wait()
}
