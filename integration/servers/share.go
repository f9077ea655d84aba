package servers

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/pinfs/pinfs/integration/servers/share"
)

// detachDeadline is how long taking a share's mount away may take.
const detachDeadline = 10 * time.Second

// Share is a file share that misbehaves on command, mounted on this host. The
// test's own process puts files into Dir and never touches Mount. All methods but
// Stop may be called from many goroutines at once.
type Share struct {
	Dir   string // what is shared; to write files into
	Mount string // where the others find it; read-only

	*program
	control   string
	transport *http.Transport
}

// StartShare serves a share for one test and ends it with the test. The package's
// TestMain has to begin with
//
//	if share.Asked() {
//		if err := share.Serve(); err != nil { log and os.Exit(1) }
//		return
//	}
func StartShare(t testing.TB) *Share {
	t.Helper()
	return forTest(t, StartShareMain)
}

// StartShareMain is StartShare for a whole test binary. stop ends the share; it
// must be called before os.Exit.
func StartShareMain() (s *Share, stop func(), err error) { return tried(startShare) }

func startShare() (*Share, error) {
	ctx, cancel := context.WithTimeout(context.Background(), detachDeadline)
	defer cancel()
	if err := share.Sweep(ctx); err != nil {
		return nil, err
	}
	addr, err := freePort()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "pinfs-share-")
	if err != nil {
		return nil, err
	}
	s := &Share{control: "http://" + addr, transport: &http.Transport{}, program: &program{dir: dir}}
	s.Dir, s.Mount = s.path("files"), s.path("mount")
	s.process = &process{name: "share", ready: s.control + "/ready", logPath: s.path("log")}
	if err := s.serve(addr); err != nil {
		s.remove()
		return nil, err
	}
	return s, nil
}

// serve makes the directories, which another user reads too, and starts the process.
func (s *Share) serve(addr string) error {
	cmd, err := share.Command(share.Config{Dir: s.Dir, Mount: s.Mount, Control: addr})
	if err != nil {
		return err
	}
	s.process.command = func() *exec.Cmd { again := *cmd; return &again }
	err = errors.Join(os.Chmod(s.dir, 0o755), os.Mkdir(s.Dir, 0o755), os.Mkdir(s.Mount, 0o755))
	if err != nil {
		return err
	}
	return s.process.start()
}

// remove ends the share: what hangs, the mount, the process, at last the files,
// unless the mount is still there, which removing would go into.
func (s *Share) remove() {
	s.transport.CloseIdleConnections()
	_ = s.process.stop() // killed is stopped as well
	ctx, cancel := context.WithTimeout(context.Background(), detachDeadline)
	defer cancel()
	err := share.Detach(ctx, s.Mount)
	if err == nil {
		err = os.Remove(s.Mount)
	}
	if err != nil && !os.IsNotExist(err) {
		fmt.Fprintln(os.Stderr, "the share is left behind:", err)
		return
	}
	_ = os.RemoveAll(s.dir)
}

// Kill kills the process that serves the share: the kernel answers all who wait,
// and who comes after, with ENOTCONN.
func (s *Share) Kill(t testing.TB) { s.program.Kill(t) }

// Set puts rules in force, in place of those before; what hangs goes on. The first
// rule that hits a request is the only one it gets.
func (s *Share) Set(t testing.TB, rules ...share.Rule) {
	t.Helper()
	if rules == nil {
		rules = []share.Rule{}
	}
	body, err := json.Marshal(rules)
	if err != nil {
		t.Fatal(err)
	}
	s.do(t, http.MethodPut, "/rules", body)
}

// Heal makes the share behave again.
func (s *Share) Heal(t testing.TB) { t.Helper(); s.Set(t) }

// State gives what the share has seen so far.
func (s *Share) State(t testing.TB) share.State {
	t.Helper()
	var st share.State
	if err := json.Unmarshal(s.do(t, http.MethodGet, "/state", nil), &st); err != nil {
		t.Fatal(err)
	}
	return st
}

// WaitHanging waits until at least n requests hang.
func (s *Share) WaitHanging(t testing.TB, n int) {
	t.Helper()
	for end := time.Now().Add(readyDeadline); s.State(t).Hanging < n; time.Sleep(readyPause) {
		if time.Now().After(end) {
			t.Fatalf("%d requests hang after %s, want %d", s.State(t).Hanging, readyDeadline, n)
		}
	}
}

func (s *Share) do(t testing.TB, method, path string, body []byte) []byte {
	t.Helper()
	req, err := http.NewRequestWithContext(ctx(t), method, s.control+path, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	_, answer, err := roundTrip(s.transport, req)
	if err != nil {
		t.Fatal(fmt.Errorf("the share: %s %s: %w", method, path, err))
	}
	return answer
}
