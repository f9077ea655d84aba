package integration_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/pinfs/pinfs/integration/servers"
	"github.com/pinfs/pinfs/integration/servers/share"
	"github.com/pinfs/pinfs/testwarden"
)

// shareTimeout is the deadline that these tests give to a call on a share.
const shareTimeout = time.Second

// shareHost is a host with a misbehaving share and a local directory of the same
// files. The test itself touches neither the share nor a mount over it: only
// children do, which can be killed.
type shareHost struct {
	*host
	share *servers.Share
	local string
}

func newShareHost(t *testing.T, files int) *shareHost {
	t.Helper()
	s := &shareHost{
		host: newHost(t).with("PINFS_SHARE_TIMEOUT="+shareTimeout.String(), "PINFS_LOG_LEVEL=debug"), share: servers.StartShare(t),
		local: filepath.Join(t.TempDir(), "local"),
	}
	for i := range files {
		for _, dir := range []string{s.share.Dir, s.local} {
			write(t, fmt.Sprintf("%s/d%d/%03d", dir, i%3, i), contentOf(i))
		}
	}
	return s
}

func contentOf(i int) string { return strings.Repeat(fmt.Sprintf("file %d\n", i), 100*(i+1)) }

// cat reads a file by a child that is killed when it takes too long.
func (s *shareHost) cat(path string) (string, error) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), time.Minute)
	defer cancel()
	cmd := testwarden.Command(ctx, "cat", path)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr, cmd.Env = &out, &errs, append(os.Environ(), "LC_ALL=C")
	if err := cmd.Run(); err != nil {
		return out.String(), fmt.Errorf("%w: %s", err, strings.TrimSpace(errs.String()))
	}
	return out.String(), nil
}

// TestPutOfAHangingShare: put ends by the deadline, wherever the share hangs, with
// a line that names the file and the share; nothing is recorded.
func TestPutOfAHangingShare(t *testing.T) {
	s := newShareHost(t, 30)
	for name, rule := range map[string]share.Rule{
		"lookup":  {Ops: []share.Op{share.Lookup}, Path: "d1", Hang: true},
		"readdir": {Ops: []share.Op{share.ReadDir}, Path: "d1", Hang: true},
		"open":    {Ops: []share.Op{share.Open}, Path: "d1", Hang: true},
		"read":    {Ops: []share.Op{share.Read}, Path: "d1/007", Hang: true},
		"all":     {Hang: true},
	} {
		t.Run(name, func(t *testing.T) {
			s.share.Set(t, rule)
			defer s.share.Heal(t)
			r := s.run("put", "--name", "share/hangs", "--type", "dataset", s.share.Mount)
			wantOneLine(t, r, 7, "file://"+s.share.Mount, "no answer within 1s; "+s.share.Mount+" may hang")
		})
	}
	if got := s.put("share/hangs", s.share.Mount); got.Version != "v0" || got.Files != 30 {
		t.Errorf("after the share answers again: %+v, want v0 of 30 files", got)
	}
}

// TestPutOfAStaleShare: ESTALE that passes is tried again, and one that stays is an
// error before the command's patience ends.
func TestPutOfAStaleShare(t *testing.T) {
	s := newShareHost(t, 30)
	s.share.Set(t, share.Rule{Ops: []share.Op{share.Open}, Path: "d2/", Errno: syscall.ESTALE, Times: 2})
	if got := s.put("share/stale", s.share.Mount); got.Files != 30 {
		t.Errorf("got %+v, want 30 files", got)
	}
	s.share.Set(t, share.Rule{Ops: []share.Op{share.Open}, Path: "d2/", Errno: syscall.ESTALE})
	start := time.Now()
	r := s.run("put", "--name", "share/stale-2", "--type", "dataset", s.share.Mount)
	wantOneLine(t, r, 4, "file://"+s.share.Mount+"/d2/", "stale file handle")
	if took := time.Since(start); took > commandDeadline/2 {
		t.Errorf("took %v", took)
	}
}

// TestMountOverAHangingShare: readers of a dead share get an error in time, those
// after them at once; other files of the version, on this host, stay readable; few
// threads are lost; and when the share answers again, so does the mount.
func TestMountOverAHangingShare(t *testing.T) {
	s := newShareHost(t, 60)
	s.put("share/both", "share="+s.share.Mount, "local="+s.local)
	mnt := s.mount("share/both:v0")
	file := func(dir string, i int) string { return fmt.Sprintf("%s/%s/d%d/%03d", mnt, dir, i%3, i) }
	if got, err := s.cat(file("share", 0)); got != contentOf(0) || err != nil {
		t.Fatalf("before: %d bytes, %v", len(got), err)
	}
	s.share.Set(t, share.Rule{Hang: true})
	s.wantDead(t, file)
	for i := range 20 {
		if got, err := s.cat(file("local", i)); got != contentOf(i) || err != nil {
			t.Errorf("%s, beside the dead share: %d bytes, %v", file("local", i), len(got), err)
		}
	}
	if n := threads(t, s.status().Daemon.PID); n > 100 {
		t.Errorf("the daemon has %d threads", n)
	}
	if n := s.share.State(t).Hanging; n > 32 {
		t.Errorf("%d requests hang in the share, want few", n)
	}
	s.share.Heal(t)
	eventually(t, "the share is read again", func() bool {
		got, err := s.cat(file("share", 1))
		return err == nil && got == contentOf(1)
	})
	for i := range 60 {
		if got, err := s.cat(file("share", i)); got != contentOf(i) || err != nil {
			t.Errorf("%s, after all: %d bytes, %v", file("share", i), len(got), err)
		}
	}
}

// wantDead reads many files of the dead share. The first ones wait for the
// deadline, the others do not come to the share at all, as the status says.
func (s *shareHost) wantDead(t *testing.T, file func(string, int) string) {
	t.Helper()
	for i := 10; i < 40; i++ {
		got, err := s.cat(file("share", i))
		if err == nil || !strings.Contains(err.Error(), "timed out") {
			t.Errorf("%s: %d bytes, %v, want a timeout", file("share", i), len(got), err)
		}
	}
	for _, e := range s.status().Errors {
		if strings.Contains(e.Message, s.share.Mount+" hangs") {
			return
		}
	}
	t.Errorf("the status does not say that the share hangs: %+v", s.status().Errors)
}

// threads counts those of a process.
func threads(t *testing.T, pid int) int {
	t.Helper()
	tasks, err := os.ReadDir("/proc/" + strconv.Itoa(pid) + "/task")
	if err != nil {
		t.Fatal(err)
	}
	return len(tasks)
}
