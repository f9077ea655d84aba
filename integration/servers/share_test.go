package servers_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/pinfs/pinfs/integration/servers"
	"github.com/pinfs/pinfs/integration/servers/share"
)

// reader is a child process that looks at a share.
type reader struct {
	cmd  *exec.Cmd
	out  bytes.Buffer
	done chan error
}

// look starts a program with a share's path; it is killed with the test.
func look(t *testing.T, program string, args ...string) *reader {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	r := &reader{cmd: exec.CommandContext(ctx, program, args...), done: make(chan error, 1)}
	r.cmd.Env = append(os.Environ(), "LC_ALL=C")
	r.cmd.Stdout, r.cmd.Stderr, r.cmd.WaitDelay = &r.out, &r.out, 5*time.Second
	r.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := r.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { r.done <- r.cmd.Wait() }()
	t.Cleanup(cancel)
	return r
}

// result waits for the end of a reader; what it said is in err when it failed.
func (r *reader) result(t *testing.T) (string, error) {
	t.Helper()
	select {
	case err := <-r.done:
		if err != nil {
			err = errors.New(err.Error() + ": " + r.out.String())
		}
		return r.out.String(), err
	case <-time.After(90 * time.Second):
		t.Fatal("a reader never ended")
		return "", nil
	}
}

func cat(t *testing.T, path string) (string, error) {
	t.Helper()
	return look(t, "cat", path).result(t)
}

func writeFile(t *testing.T, path, data string) {
	t.Helper()
	if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(data), 0o644)); err != nil {
		t.Fatal(err)
	}
}

// TestShare: it passes files through, answers with errors as asked, and recovers.
func TestShare(t *testing.T) {
	s := servers.StartShare(t)
	writeFile(t, s.Dir+"/d/a", "one")
	writeFile(t, s.Dir+"/d/b", "two")
	if got, err := cat(t, s.Mount+"/d/a"); got != "one" || err != nil {
		t.Fatalf("%q, %v", got, err)
	}
	writeFile(t, s.Dir+"/d/a", "three")
	if got, err := cat(t, s.Mount+"/d/a"); got != "three" || err != nil {
		t.Errorf("after a write below: %q, %v", got, err)
	}
	for _, c := range []struct {
		rule    share.Rule
		program string
		says    string
	}{
		{share.Rule{Ops: []share.Op{share.Read}, Path: "d/a", Errno: syscall.EIO}, "cat", "Input/output error"},
		{share.Rule{Ops: []share.Op{share.Open}, Errno: syscall.ESTALE}, "cat", "Stale file handle"},
		{share.Rule{Ops: []share.Op{share.Lookup}, Path: "d/a", Errno: syscall.ESTALE}, "stat", "Stale file handle"},
		{share.Rule{Ops: []share.Op{share.Stat}, Path: "d/a", Errno: syscall.EIO}, "stat", "Input/output error"},
	} {
		s.Set(t, c.rule)
		if _, err := look(t, c.program, s.Mount+"/d/a").result(t); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%+v: %v", c.rule, err)
		}
		if got, err := cat(t, s.Mount+"/d/b"); c.rule.Path != "" && (got != "two" || err != nil) {
			t.Errorf("%+v: the other file: %q, %v", c.rule, got, err)
		}
	}
	s.Set(t, share.Rule{Ops: []share.Op{share.ReadDir}, Errno: syscall.EIO, Times: 1})
	for i, want := range []bool{false, true} {
		if _, err := look(t, "ls", s.Mount+"/d").result(t); (err == nil) != want {
			t.Errorf("listing %d: %v", i, err)
		}
	}
	s.Heal(t)
	if got, err := cat(t, s.Mount+"/d/a"); got != "three" || err != nil {
		t.Errorf("healed: %q, %v", got, err)
	}
}

// TestShareHangs: who hangs goes on when the share does, and can be killed before.
func TestShareHangs(t *testing.T) {
	s := servers.StartShare(t)
	writeFile(t, s.Dir+"/a", strings.Repeat("x", 1<<20))
	s.Set(t, share.Rule{Ops: []share.Op{share.Read}, From: 1 << 19, Hang: true})
	first, second := look(t, "cat", s.Mount+"/a"), look(t, "cat", s.Mount+"/a")
	s.WaitHanging(t, 2)
	if err := second.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	if _, err := second.result(t); err == nil || !strings.Contains(err.Error(), "killed") {
		t.Errorf("the killed one: %.100v", err)
	}
	if n := s.State(t).Hanging; n != 1 {
		t.Errorf("%d hang after one was killed", n)
	}
	s.Heal(t)
	if got, err := first.result(t); len(got) != 1<<20 || err != nil {
		t.Errorf("released: %d bytes, %v", len(got), err)
	}
	s.Set(t, share.Rule{Ops: []share.Op{share.Stat, share.Lookup}, Hang: true})
	third := look(t, "stat", s.Mount+"/a")
	s.WaitHanging(t, 1)
	s.Stop(t)
	if _, err := third.result(t); err != nil && !strings.Contains(err.Error(), "stat") {
		t.Errorf("stopped while it hung: %v", err)
	}
}

// TestShareKilled: the end of the process ends all who wait, and the mount.
func TestShareKilled(t *testing.T) {
	var dir string
	before := mounted(t)
	t.Run("share", func(t *testing.T) {
		s := servers.StartShare(t)
		dir = filepath.Dir(s.Dir)
		writeFile(t, s.Dir+"/a", "one")
		s.Set(t, share.Rule{Hang: true})
		r := look(t, "cat", s.Mount+"/a")
		s.WaitHanging(t, 1)
		s.Kill(t)
		if _, err := r.result(t); err == nil || !strings.Contains(err.Error(), "cat: ") {
			t.Errorf("killed while it hung: %v", err)
		}
		if mounted(t) != before+1 {
			t.Error("the mount of a killed share is gone by itself: what sweeps is not needed")
		}
		if err := share.Sweep(t.Context()); err != nil || mounted(t) != before {
			t.Errorf("swept: %v", err)
		}
	})
	if _, err := os.Lstat(dir); !os.IsNotExist(err) {
		t.Errorf("%s is left behind: %v", dir, err)
	}
}

// mounted counts the shares that are mounted.
func mounted(t *testing.T) int {
	t.Helper()
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	return bytes.Count(mounts, []byte(share.Type))
}
