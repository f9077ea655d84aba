package integration_test

import (
	"bytes"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/pinfs/pinfs/daemon"
	"github.com/pinfs/pinfs/integration/servers"
)

// readTogether reads all of names at once and wants what was recorded.
func (f *faulty) readTogether(names []string) {
	f.t.Helper()
	g := errgroup.Group{}
	for _, name := range names {
		g.Go(func() error {
			got, err := f.read(name)
			if err == nil && !bytes.Equal(got, f.objects[name]) {
				err = fmt.Errorf("%s: %d wrong bytes", name, len(got))
			}
			return err
		})
	}
	if err := g.Wait(); err != nil {
		f.t.Error(err)
	}
}

// smallObjects are n objects of some KB, by name.
func smallObjects(prefix string, n int) (names []string, objects map[string][]byte) {
	objects = map[string][]byte{}
	for i := range n {
		name := fmt.Sprintf("%s-%02d", prefix, i)
		names = append(names, name)
		objects[name] = randomBytes(2000+700*i, byte(i))
	}
	return names, objects
}

// clockGate is S3 as seen by a host whose clock is off: it refuses what is not
// signed within 15 minutes of its own clock, as AWS does, and passes the rest on
// without a signature, to a public bucket.
type clockGate struct {
	ahead           time.Duration // of this host's clock
	deaf            atomic.Bool   // refuse all
	refused, passed atomic.Int32
	forward         *httputil.ReverseProxy
}

func newClockGate(t *testing.T, ahead time.Duration) (*clockGate, string) {
	t.Helper()
	target, err := url.Parse(shared.s3.Endpoint)
	if err != nil {
		t.Fatal(err)
	}
	g := &clockGate{ahead: ahead}
	g.forward = &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(target)
			for _, name := range []string{"Authorization", "X-Amz-Date", "X-Amz-Content-Sha256", "X-Amz-Security-Token"} {
				r.Out.Header.Del(name)
			}
		},
		ModifyResponse: func(r *http.Response) error { r.Header.Set("Date", g.date()); return nil },
	}
	server := httptest.NewServer(g)
	t.Cleanup(server.Close)
	return g, server.URL
}

func (g *clockGate) date() string { return time.Now().Add(g.ahead).UTC().Format(http.TimeFormat) }

func (g *clockGate) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	at, err := time.Parse("20060102T150405Z", r.Header.Get("X-Amz-Date"))
	if err == nil && !g.deaf.Load() && time.Until(at.Add(-g.ahead)).Abs() < 15*time.Minute {
		g.passed.Add(1)
		g.forward.ServeHTTP(w, r)
		return
	}
	g.refused.Add(1)
	w.Header().Set("Date", g.date())
	w.Header().Set("Content-Type", "application/xml")
	w.WriteHeader(http.StatusForbidden)
	fmt.Fprint(w, `<Error><Code>RequestTimeTooSkewed</Code><Message>The difference between the request time and the current time is too large.</Message></Error>`)
}

// TestClockOff: a clock that is off by an hour, either way, costs each daemon a few
// refused requests and no reader anything. A source that refuses all the same is
// EACCES, and status says that it is the clock.
func TestClockOff(t *testing.T) {
	for _, ahead := range []time.Duration{time.Hour, -time.Hour} {
		t.Run(ahead.String(), func(t *testing.T) {
			t.Parallel()
			names, objects := smallObjects("small", 16)
			objects["large"], objects["refused"] = randomBytes(5<<20, 1), randomBytes(9000, 2)
			gate, endpoint := newClockGate(t, ahead)
			f := &faulty{host: newHost(t), bucket: newBucket(t, true), objects: objects}
			shared.s3.AllowPublic(t, f.bucket)
			keys := map[string][]byte{}
			for name, data := range objects {
				keys["d/"+name] = data
			}
			putAll(t, f.bucket, keys)
			f.host = f.with("AWS_ENDPOINT_URL="+endpoint, "AWS_ENDPOINT_URL_S3="+endpoint)
			f.put("faults/all", "s3://"+f.bucket+"/d")
			before := gate.refused.Load()
			if before == 0 {
				t.Fatal("nothing was refused: the clocks agree")
			}
			f.mnt = f.mount("faults/all:v0")
			f.readTogether(append(names, "large"))
			f.wantNoErrors()
			if n := gate.refused.Load() - before; n < 1 || n > 2*int32(len(names)) {
				t.Errorf("%d requests of the daemon were refused, want one for each reader at most twice", n)
			}
			gate.deaf.Store(true)
			f.wantError("refused", syscall.EACCES, "clock")
		})
	}
}

// keyServer gives credentials, as the metadata service of a container does.
type keyServer struct {
	issued atomic.Int32
	broken atomic.Bool
}

func (k *keyServer) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	if k.broken.Load() {
		w.WriteHeader(http.StatusInternalServerError)
		return
	}
	k.issued.Add(1)
	fmt.Fprintf(w, `{"AccessKeyId":%q,"SecretAccessKey":%q,"Expiration":%q}`, shared.s3.AccessKey, shared.s3.SecretKey,
		time.Now().Add(time.Hour).UTC().Format(time.RFC3339))
}

// TestExpiredCredentials: credentials that expire before their time are renewed
// once for all readers. Ones that stay expired are EACCES, and status says what to
// do; what is cached stays readable.
func TestExpiredCredentials(t *testing.T) {
	t.Parallel()
	keys := &keyServer{}
	server := httptest.NewServer(keys)
	t.Cleanup(server.Close)
	h, p := newHost(t).with("AWS_ACCESS_KEY_ID=", "AWS_SECRET_ACCESS_KEY=", "AWS_CONTAINER_CREDENTIALS_FULL_URI="+server.URL+"/keys").behind()
	names, objects := smallObjects("small", 24)
	objects["cached"], objects["refused"], objects["large"] = randomBytes(300_000, 1), randomBytes(9000, 2), randomBytes(3<<20, 3)
	for _, name := range names { // so that the reads follow no order, and nothing is fetched ahead
		for i := range 4 {
			objects[name+"-not-read-"+itoa(i)] = []byte("x")
		}
	}
	f := faultyOn(h, p, true, objects)
	f.wantRight("cached")
	f.readTogether(names[:4]) // the driver knows the bucket then
	names = names[4:]
	before := keys.issued.Load()
	for _, status := range []int{http.StatusBadRequest, http.StatusForbidden, http.StatusUnauthorized} {
		p.Inject(servers.Fault{Match: getOf("/d/" + names[0]), Status: status, Code: "ExpiredToken", Times: 1})
		f.wantRight(names[0])
		if n := keys.issued.Load() - before; n != 1 {
			t.Errorf("credentials that expired (%d) were asked for %d times, want once", status, n)
		}
		before, names = keys.issued.Load(), names[1:]
	}
	p.Inject(servers.Fault{Match: getOf(""), Status: http.StatusBadRequest, Code: "ExpiredToken", Times: len(names)})
	f.readTogether(names) // each is refused once
	if n := keys.issued.Load() - before; n < 1 || n > int32(len(names))/2 {
		t.Errorf("%d readers had credentials asked for %d times, want once for all who wait", len(names), n)
	}
	f.wantNoErrors()
	p.Inject(servers.Fault{Status: http.StatusForbidden, Code: "ExpiredToken"})
	asked := gets(p)
	f.wantError("refused", syscall.EACCES, "ExpiredToken", "renew")
	f.wantError("large", syscall.EACCES, "ExpiredToken")
	if n := gets(p) - asked; n > 40 {
		t.Errorf("%d requests with credentials that stay expired, want few", n)
	}
	keys.broken.Store(true)
	forgetPages(t)
	f.wantRight("cached")
	keys.broken.Store(false)
	f.heals("refused")
	f.heals("large")
}

// TestThrottledForAWhile: a source that asks all readers to slow down, for seconds
// here and for a minute in make torture, makes them slower and nothing else. It is
// asked ever less, and the wait that it asks for is kept.
func TestThrottledForAWhile(t *testing.T) {
	t.Parallel()
	h, p := newHost(t).behind()
	names, objects := smallObjects("small", 60)
	objects["large"], objects["cached"] = randomBytes(20<<20, 1), randomBytes(5000, 2)
	f := faultyOn(h, p, true, objects)
	f.wantRight("cached")
	p.Inject(servers.Fault{Match: getOf(""), Status: http.StatusServiceUnavailable, Code: "SlowDown"})
	before, length := gets(p), lasting(3*time.Second, time.Minute)
	var read []*reading
	for _, name := range append(names, "large") {
		read = append(read, f.startReading(name))
	}
	time.Sleep(length)
	asked := gets(p) - before
	for _, r := range read {
		if r.over() {
			t.Errorf("%s: %d bytes, %v, from a source that refused all", r.name, len(r.data), r.err)
		}
	}
	// A burst, then 20 in a second, and each reader's first.
	if most := len(read) + 64 + 40*int(length.Seconds()); asked > most || asked < 5 {
		t.Errorf("%d requests in %v, want at most %d", asked, length, most)
	}
	var s daemon.Status
	h.json(&s, "status")
	if len(s.Backends) != 1 || s.Backends[0].Throttled == 0 || s.Backends[0].Limit >= 64 {
		t.Errorf("status of the source: %+v, want fewer requests at once, and those refused counted", s.Backends)
	}
	p.Heal()
	for _, r := range read {
		f.wantEnd(r, readDeadline)
	}
	f.wantNoErrors()
	t.Logf("%d requests in %v for %d readers", asked, length, len(read))
}

// daemonLog is what the daemon in the background has logged.
func (h *host) daemonLog() string {
	data, err := os.ReadFile(filepath.Join(h.dir, "cache", "daemon.log"))
	if err != nil {
		h.t.Fatal(err)
	}
	return string(data)
}

// logged counts the lines of the daemon's log that hold all words.
func (h *host) logged(words ...string) (n int) {
lines:
	for line := range strings.Lines(h.daemonLog()) {
		for _, w := range words {
			if !strings.Contains(line, w) {
				continue lines
			}
		}
		n++
	}
	return n
}
