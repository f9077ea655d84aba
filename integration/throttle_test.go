package integration_test

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/pinfs/pinfs/daemon"
	"github.com/pinfs/pinfs/integration/servers"
)

// TestThrottled: 64 readers read 2,000 files from a source that refuses more than
// eight requests at once. All succeed, few requests are refused, and the status
// tells what the limit has come down to.
func TestThrottled(t *testing.T) {
	const files, readers, room = 2000, 64, 8
	srv := shared.s3
	srv.CreateBucket(t, "throttled", true)
	h := newHost(t)
	g := errgroup.Group{}
	g.SetLimit(16)
	for i := range files {
		g.Go(func() error {
			srv.Put(t, "throttled", fmt.Sprintf("f/%d/%04d", i%20, i), []byte("content of "+itoa(i)))
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}
	h.put("load/throttled", "s3://throttled/f")
	p := servers.StartFaultProxy(t, srv.Endpoint)
	object := servers.ReadsOf("/f/")
	p.Inject(servers.Fault{Match: object, Above: room, Status: http.StatusServiceUnavailable, Code: "SlowDown"})
	p.Inject(servers.Fault{Match: object, Delay: 5 * time.Millisecond})
	h = h.with("AWS_ENDPOINT_URL_S3=" + p.Endpoint)
	dir := h.mount("load/throttled:v0")
	readAll(t, dir, files, readers)
	asked := p.Count(func(method, path string) bool { return method == http.MethodGet && strings.Contains(path, "/f/") })
	var s daemon.Status
	h.json(&s, "status")
	if len(s.Backends) != 1 || s.Backends[0].Scheme != "s3" {
		t.Fatalf("sources %+v", s.Backends)
	}
	b := s.Backends[0]
	if b.Limit >= 32 || b.Limit < 1 || b.Throttled == 0 || b.Throttled > files/5 {
		t.Errorf("%d requests for %d files: %+v", asked, files, b)
	}
	t.Logf("%d requests for %d files: limit %d, %d throttled, %d hedged", asked, files, b.Limit, b.Throttled, b.Hedged)
}

// readAll reads the files of TestThrottled.
func readAll(t *testing.T, dir string, files, readers int) {
	t.Helper()
	g := errgroup.Group{}
	g.SetLimit(readers)
	for i := range files {
		g.Go(func() error {
			got, err := os.ReadFile(filepath.Join(dir, itoa(i%20), fmt.Sprintf("%04d", i)))
			if err == nil && string(got) != "content of "+itoa(i) {
				err = fmt.Errorf("file %d: %q", i, got)
			}
			return err
		})
	}
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}
}
