package integration_test

import (
	"bytes"
	"fmt"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/pinfs/pinfs/daemon"
	"github.com/pinfs/pinfs/integration/servers"
)

// TestAnswersThatHang: answers that never begin, stop in the middle or trickle are
// given up and asked for again, within the budget of the read.
func TestAnswersThatHang(t *testing.T) {
	t.Parallel()
	h, p := newHost(t).behind()
	faults := map[string]servers.Fault{
		"silent":        {Silent: true, Times: 1},
		"stalled":       {Stall: servers.At(1000), Times: 1},
		"stalled large": {Stall: servers.At(100_000), Times: 1},
		"trickle":       {Rate: 1 << 10, Times: 1},
		"trickle large": {Rate: 1 << 10, Times: 1},
	}
	objects := map[string][]byte{"cached": randomBytes(5000, 9)}
	for name := range faults {
		objects[name] = randomBytes(150_000, byte(len(name)))
		if strings.HasSuffix(name, "large") {
			objects[name] = randomBytes(12<<20, byte(len(name)))
		}
	}
	f := faultyOn(h, p, true, objects)
	f.wantRight("cached")
	var all []*reading
	for name, fault := range faults {
		fault.Match = func(r *http.Request) bool {
			return r.Method == http.MethodGet && strings.HasSuffix(r.URL.Path, "/d/"+name)
		}
		p.Inject(fault)
		all = append(all, f.startReading(name))
	}
	forgetPages(t)
	f.wantRight("cached")
	for _, r := range all {
		f.wantEnd(r, readDeadline)
	}
	f.wantNoErrors()
	var s daemon.Status
	h.json(&s, "status")
	if b := s.Backends; len(b) != 1 || b[0].Retries+b[0].Hedged == 0 {
		t.Errorf("status of the source: %+v, want retries", b)
	}
}

// TestAnswersOfAnotherLength: an answer that is longer or shorter than the manifest and
// the range say, or of another place, is never served and not kept: the reader gets
// the recorded bytes of a better answer, or an error that status explains.
func TestAnswersOfAnotherLength(t *testing.T) {
	t.Parallel()
	const size = 200_000
	h, p := newHost(t).behind()
	faults := map[string]servers.Fault{
		"shorter":        {Short: 1000},
		"cut for ever":   {Truncate: servers.At(50_000)},
		"padded":         {Pad: 1},
		"padded much":    {Pad: size},
		"other place":    {Shift: 1000},
		"larger object":  {Total: 1},
		"smaller object": {Total: -1},
		"no length":      {Header: http.Header{"Content-Range": nil}},
	}
	objects := map[string][]byte{}
	for name := range faults {
		objects[name] = randomBytes(size, byte(len(name)))
	}
	f := faultyOn(h, p, true, objects)
	for name, fault := range faults {
		fault.Match = getOf("/d/" + name)
		p.Inject(fault)
		got, err := f.read(name)
		switch {
		case err == nil && !bytes.Equal(got, objects[name]):
			t.Errorf("%s: %d wrong bytes", name, len(got))
		case err == nil:
		default:
			f.wantStatus(name)
			if n := xattrOf(t, f.mnt+"/"+name, "user.pinfs.cached"); n != "0" {
				t.Errorf("%s: %s bytes are kept", name, n)
			}
		}
		p.Heal()
	}
	for name := range faults {
		f.heals(name)
	}
}

// xattrOf gives an extended attribute.
func xattrOf(t *testing.T, path, name string) string {
	t.Helper()
	buf := make([]byte, 4096)
	n, err := syscall.Getxattr(path, name, buf)
	if err != nil {
		t.Fatal(fmt.Errorf("%s of %s: %w", name, path, err))
	}
	return string(buf[:n])
}

// TestSecondsOfRetryAfter: the wait that a source asks for is kept.
func TestSecondsOfRetryAfter(t *testing.T) {
	t.Parallel()
	h, p := newHost(t).behind()
	f := faultyOn(h, p, true, map[string][]byte{"asked": randomBytes(5000, 1)})
	p.Inject(servers.Fault{Match: getOf("/d/asked"), Status: http.StatusTooManyRequests, Times: 1, Header: http.Header{"Retry-After": {"3"}}})
	begun := time.Now()
	f.wantRight("asked")
	if took := time.Since(begun); took < 3*time.Second {
		t.Errorf("asked again after %v, want a wait of 3 s", took)
	}
	f.wantNoErrors()
}
