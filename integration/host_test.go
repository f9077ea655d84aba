package integration_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pinfs/pinfs/testwarden"
)

// commandDeadline bounds one run of the command.
const commandDeadline = 2 * time.Minute

// host is one machine as pinfs sees it: a registry, a cache, an environment.
type host struct {
	t   testing.TB
	dir string
	env []string
	// enter is a program with its arguments that runs the command, if any.
	enter []string
}

// result is what one run of the command gave.
type result struct {
	stdout, stderr string
	code           int
}

// newHost makes a host with an empty registry and cache that can reach the S3 server.
func newHost(t testing.TB) *host {
	t.Helper()
	dir := t.TempDir()
	env := append(os.Environ(),
		"PINFS_REGISTRY=file://"+filepath.Join(dir, "registry"),
		"PINFS_CACHE_DIR="+filepath.Join(dir, "cache"),
		"PINFS_CACHE_SIZE=2G", "PINFS_MIN_FREE=100M",
		"XDG_CONFIG_HOME="+filepath.Join(dir, "config"),
		"HOME="+dir)
	env = append(env, shared.s3.Env()...)
	return &host{t: t, dir: dir, env: append(env, "AWS_ENDPOINT_URL="+shared.s3.Endpoint)}
}

// with adds to the environment.
func (h *host) with(env ...string) *host {
	return &host{t: h.t, dir: h.dir, env: append(append([]string{}, h.env...), env...), enter: h.enter}
}

func (h *host) command(ctx context.Context, args ...string) *exec.Cmd {
	line := append(append(append([]string{}, h.enter...), shared.bin), args...)
	cmd := testwarden.Command(ctx, line[0], line[1:]...)
	cmd.Env, cmd.Dir = h.env, h.dir
	return cmd
}

// run runs pinfs and gives whatever came of it.
func (h *host) run(args ...string) result {
	h.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), commandDeadline)
	defer cancel()
	cmd := h.command(ctx, args...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		h.t.Fatalf("pinfs %s: %v\n%s", strings.Join(args, " "), err, errs.String())
	}
	return result{out.String(), errs.String(), cmd.ProcessState.ExitCode()}
}

// must runs pinfs and fails the test unless it exits with 0.
func (h *host) must(args ...string) string {
	h.t.Helper()
	r := h.run(args...)
	if r.code != 0 {
		h.t.Fatalf("pinfs %s: exit %d\n%s%s", strings.Join(args, " "), r.code, r.stdout, r.stderr)
	}
	return r.stdout
}

// json runs pinfs --json and decodes its output.
func (h *host) json(v any, args ...string) {
	h.t.Helper()
	out := h.must(append([]string{"--json"}, args...)...)
	if err := json.Unmarshal([]byte(out), v); err != nil {
		h.t.Fatalf("pinfs --json %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

// put is what `pinfs put --json` prints.
type put struct {
	Name    string   `json:"name"`
	Version string   `json:"version"`
	Digest  string   `json:"digest"`
	Files   int64    `json:"files"`
	Size    int64    `json:"size"`
	New     bool     `json:"new"`
	Aliases []string `json:"aliases"`
}

func (h *host) put(name string, args ...string) put {
	h.t.Helper()
	var p put
	h.json(&p, append([]string{"put", "--name", name, "--type", "dataset"}, args...)...)
	return p
}

// mount mounts in the background and unmounts when the test ends. It gives the
// mount point.
func (h *host) mount(args ...string) string {
	h.t.Helper()
	dir, umount := h.mountUntil(args...)
	h.t.Cleanup(umount)
	return dir
}

// mountUntil mounts in the background. It gives the mount point and what unmounts it.
func (h *host) mountUntil(args ...string) (dir string, umount func()) {
	h.t.Helper()
	dir = filepath.Join(h.t.TempDir(), "mnt")
	if err := os.Mkdir(dir, 0o755); err != nil {
		h.t.Fatal(err)
	}
	h.must(append(append([]string{"mount"}, args...), dir)...)
	return dir, func() {
		if r := h.run("umount", dir); r.code != 0 {
			h.t.Errorf("umount: exit %d: %s", r.code, r.stderr)
			h.run("umount", "--lazy", dir)
		}
		h.waitGone()
	}
}

// waitGone waits until no daemon holds the host's cache directory any more.
func (h *host) waitGone() {
	h.t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for time.Now().Before(deadline) {
		if s := h.status(); len(s.Mounts) > 0 || s.Daemon.PID == 0 {
			return // other mounts keep it, or it has gone
		}
		time.Sleep(20 * time.Millisecond)
	}
	h.t.Error("the daemon still runs 20 s after its last mount was gone")
}

// status is what `pinfs status --json` prints.
type status struct {
	Daemon struct {
		PID int `json:"pid"`
	} `json:"daemon"`
	Mounts []struct {
		Dir      string `json:"dir"`
		Ref      string `json:"ref"`
		Requests uint64 `json:"requests"`
		Reads    uint64 `json:"reads"`
		Open     string `json:"open"`
		// OpenReason says why Open is not what was asked for, or how it was chosen.
		OpenReason string `json:"open_reason"`
	} `json:"mounts"`
	Errors []struct {
		Path    string `json:"path"`
		Ref     string `json:"ref"`
		Errno   string `json:"errno"`
		Message string `json:"message"`
	} `json:"errors"`
}

// status gives the zero value when no daemon runs.
func (h *host) status() status {
	h.t.Helper()
	var s status
	if r := h.run("--json", "status"); r.code == 0 {
		if err := json.Unmarshal([]byte(r.stdout), &s); err != nil {
			h.t.Fatalf("pinfs status: %v\n%s", err, r.stdout)
		}
	}
	return s
}

// program runs a program of the system and fails the test unless it exits with 0.
func program(t testing.TB, dir, name string, args ...string) string {
	t.Helper()
	if _, err := exec.LookPath(name); err != nil {
		t.Fatalf("%s is missing: run integration/tools.sh install test", name)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	cmd := testwarden.Command(ctx, name, args...)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, tail(string(out), 4000))
	}
	return string(out)
}

func tail(s string, n int) string {
	if len(s) > n {
		return "…" + s[len(s)-n:]
	}
	return s
}

// wantOneLine checks that a failed command said why in one line that starts as
// all do and holds the words.
func wantOneLine(t testing.TB, r result, code int, words ...string) {
	t.Helper()
	text := strings.TrimSuffix(r.stderr, "\n")
	if r.code != code {
		t.Errorf("exit code %d, want %d: %s", r.code, code, r.stderr)
	}
	if strings.Contains(text, "\n") || !strings.HasPrefix(text, "pinfs: ") {
		t.Errorf("want one line that starts with %q, got:\n%s", "pinfs: ", r.stderr)
	}
	for _, w := range words {
		if !strings.Contains(text, w) {
			t.Errorf("%q is not in: %s", w, text)
		}
	}
}

// write makes a file with its parent directories.
func write(t testing.TB, path, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

// read reads a file that must be readable.
func read(t testing.TB, path string) []byte {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("%v (%s)", err, fmt.Sprintf("%T", err))
	}
	return data
}

// leaveOthers is what a mount namespace begins with: it has a copy of each mount of other
// tests, which then would not end when they are unmounted.
const leaveOthers = `umount --all --lazy --types fuse.pinfs || :
`

// newNamespace makes a mount namespace, and others that flags of unshare ask for, in which
// script was run with dir; it ends with the test. It gives a process in it, for nsenter.
func newNamespace(t testing.TB, script, dir string, flags ...string) (pid string) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	keeper := testwarden.Command(ctx, "unshare", append(flags, "--mount", "sh", "-c", script, "sh", dir)...)
	out, err := keeper.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := keeper.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cancel(); _ = keeper.Wait() })
	if _, err := out.Read(make([]byte, 6)); err != nil {
		t.Fatalf("make a namespace: %v; it needs root, iproute2 and util-linux", err)
	}
	return itoa(keeper.Process.Pid)
}
