package testwarden_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/pinfs/pinfs/testwarden"
)

// roleEnv says how TestRole of a test binary in a test binary shall misbehave.
const roleEnv = "PINFS_WARDEN_TEST_ROLE"

func TestMain(m *testing.M) {
	testwarden.Main()
	os.Exit(m.Run())
}

// TestRole passes unless told otherwise.
func TestRole(t *testing.T) {
	roles := map[string]func(*testing.T){
		"": func(*testing.T) {}, "well": well, "fail": func(t *testing.T) { t.Error("as told") },
		"orphan": func(t *testing.T) { orphan(t, "300") }, "late": func(t *testing.T) { orphan(t, "1") },
		"mounted": leaveMount, "sleep": func(*testing.T) { time.Sleep(time.Hour) }, "hang": hang,
	}
	roles[os.Getenv(roleEnv)](t)
}

func well(t *testing.T) {
	if data, err := io.ReadAll(os.Stdin); len(data) > 0 || err != nil {
		t.Errorf("standard input: %q, %v; want nothing", data, err)
	}
	if pgid := unix.Getpgrp(); pgid != os.Getpid() {
		t.Errorf("process group %d, want one of its own", pgid)
	}
}

// orphan leaves a process in a session of its own, as daemons are.
func orphan(t *testing.T, seconds string) {
	cmd := testwarden.Command(t.Context(), "sh", "-c", "setsid sleep "+seconds+" & echo orphan $!")
	cmd.Stdout = os.Stdout
	if err := cmd.Run(); err != nil {
		t.Fatal(err)
	}
}

func leaveMount(t *testing.T) {
	dir := os.TempDir() + "/left here"
	if err := errors.Join(os.Mkdir(dir, 0o700), unix.Mount("tmpfs", dir, "tmpfs", 0, "")); err != nil {
		t.Fatal(err)
	}
}

// hang waits for a mount of its own that never answers, as a thread that no signal
// ends.
func hang(t *testing.T) {
	dir := os.TempDir() + "/hangs"
	conn, err := unix.Open("/dev/fuse", unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err := errors.Join(err, os.Mkdir(dir, 0o700)); err != nil {
		t.Fatal(err)
	}
	options := fmt.Sprintf("fd=%d,rootmode=40000,user_id=%d,group_id=%d", conn, os.Getuid(), os.Getgid())
	if err := unix.Mount("hang", dir, "fuse", unix.MS_NOSUID|unix.MS_NODEV, options); err != nil {
		t.Fatalf("mount: %v (these tests need root and /dev/fuse)", err)
	}
	request := make([]byte, 1<<20)
	if _, err := unix.Read(conn, request); err != nil {
		t.Fatal(err)
	}
	answer := make([]byte, 16+64) // fuse_out_header, fuse_init_out
	binary.NativeEndian.PutUint32(answer, uint32(len(answer)))
	copy(answer[8:], request[8:16])                      // unique
	binary.NativeEndian.PutUint32(answer[16:], 7)        // major
	binary.NativeEndian.PutUint32(answer[20:], 31)       // minor
	binary.NativeEndian.PutUint32(answer[16+20:], 1<<17) // max_write
	if _, err := unix.Write(conn, answer); err != nil {
		t.Fatal(err)
	}
	go func() { // takes all requests and answers none
		for {
			_, _ = unix.Read(conn, request)
		}
	}()
	var st unix.Stat_t
	t.Error("stat:", unix.Stat(dir, &st))
}

// play runs this binary with a warden of its own.
func play(t *testing.T, role, timeout string) (code int, out string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	tmp := t.TempDir()
	cmd := testwarden.Command(ctx, "/proc/self/exe", "-test.run=^TestRole$", "-test.v", "-test.timeout="+timeout)
	for _, e := range os.Environ() {
		if !strings.HasPrefix(e, "PINFS_TEST_WARDEN=") {
			cmd.Env = append(cmd.Env, e)
		}
	}
	cmd.Env = append(cmd.Env, roleEnv+"="+role, "TMPDIR="+tmp)
	text, err := cmd.CombinedOutput()
	if ctx.Err() != nil {
		t.Errorf("it hangs: %v", err)
	}
	if left, _ := filepath.Glob(tmp + "/*"); len(left) > 0 {
		t.Errorf("left files %q", left)
	}
	if info, err := os.ReadFile("/proc/self/mountinfo"); err != nil || strings.Contains(string(info), tmp) {
		t.Errorf("left mounts: %v\n%s", err, info)
	}
	for _, m := range regexp.MustCompile(`(?m)^orphan (\d+)$`).FindAllSubmatch(text, -1) {
		if _, err := os.Stat("/proc/" + string(m[1])); err == nil {
			t.Errorf("left process %s", m[1])
		}
	}
	return cmd.ProcessState.ExitCode(), string(text)
}

func TestCodesAndWordsOfAllEnds(t *testing.T) {
	for _, c := range []struct {
		role, timeout string
		code          int
		words         []string
	}{
		{"well", "1m", 0, []string{"--- PASS: TestRole"}},
		{"fail", "1m", 1, []string{"as told", "--- FAIL: TestRole"}},
		{"orphan", "1m", 1, []string{"--- PASS: TestRole", "FAIL: the tests left processes running", "sleep"}},
		{"late", "1m", 0, []string{"orphan"}},
		{"mounted", "1m", 1, []string{"--- PASS: TestRole", "FAIL: the tests left mounts", "/left here"}},
		{"sleep", "1s", 2, []string{"panic: test timed out after 1s"}},
		{"hang", "2s", 2, []string{"testwarden: the tests hang", "waits for a mount", "panic: test timed out after 2s"}},
	} {
		t.Run(c.role, func(t *testing.T) {
			t.Parallel()
			code, out := play(t, c.role, c.timeout)
			if code != c.code {
				t.Errorf("exit code %d, want %d", code, c.code)
			}
			for _, word := range c.words {
				if !strings.Contains(out, word) {
					t.Errorf("%q is missing", word)
				}
			}
			if t.Failed() {
				t.Logf("%s", out)
			}
		})
	}
}

// TestKilledWarden: whoever kills the warden kills the tests.
func TestKilledWarden(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	cmd := testwarden.Command(ctx, "/proc/self/exe", "-test.run=^TestRole$")
	cmd.Env = append(os.Environ(), "PINFS_TEST_WARDEN=", roleEnv+"=sleep")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var child int
	eventually(t, "the warden has a child", func() bool { child = childOf(cmd.Process.Pid); return child != 0 })
	cancel()
	_ = cmd.Wait()
	eventually(t, "the child ends", func() bool { _, err := os.Stat(fmt.Sprint("/proc/", child)); return err != nil })
}

func childOf(pid int) int {
	text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid))
	child, _ := strconv.Atoi(strings.TrimSpace(string(text)))
	return child
}

func eventually(t *testing.T, what string, happened func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !happened(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("not within 30 s: ", what)
		}
	}
}
