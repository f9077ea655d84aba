package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"golang.org/x/sys/unix"
)

// setup gives each script a registry, a cache and a home of its own, and none of
// the environment that pinfs reads. At the end what is still mounted goes.
func setup(e *testscript.Env) error {
	if _, err := os.Stat("/dev/fuse"); err != nil {
		return fmt.Errorf("these tests mount: %w; install fuse3 and load the module fuse", err)
	}
	ours := regexp.MustCompile(`^(PINFS|AWS|GOOGLE|GCE|CLOUDSDK|STORAGE_EMULATOR|AZURE|WANDB|XDG)_|^(NETRC|HTTPS?_PROXY)=`)
	var kept []string
	for _, v := range e.Vars {
		if !ours.MatchString(v) {
			kept = append(kept, v)
		}
	}
	e.Vars = append(kept,
		"HOME="+e.WorkDir+"/home", "XDG_CONFIG_HOME="+e.WorkDir+"/config", "XDG_DATA_HOME="+e.WorkDir+"/data",
		"XDG_CACHE_HOME="+e.WorkDir+"/xdgcache", "PINFS_REGISTRY=file://"+e.WorkDir+"/registry",
		"PINFS_CACHE_DIR="+e.WorkDir+"/cache", "PINFS_CACHE_SIZE=256MiB", "PINFS_MIN_FREE=64MiB",
		// No credentials are looked for outside of this host.
		"AWS_EC2_METADATA_DISABLED=true", "GCE_METADATA_HOST=127.0.0.1:1")
	e.Defer(func() { cleanUp(e.WorkDir) })
	return nil
}

// cleanUp detaches mounts below dir, so that their daemons end.
func cleanUp(dir string) {
	for _, point := range mountsBelow(dir) {
		_ = syscall.Unmount(point, syscall.MNT_DETACH)
	}
}

func mountsBelow(dir string) []string {
	data, _ := os.ReadFile("/proc/self/mountinfo")
	var points []string
	for _, line := range strings.Split(string(data), "\n") {
		fields := strings.Fields(line)
		if len(fields) > 4 && strings.HasPrefix(fields[4], dir+"/") {
			points = append(points, strings.NewReplacer(`\040`, " ", `\011`, "\t", `\134`, `\`).Replace(fields[4]))
		}
	}
	return points
}

// exitcode N COMMAND ARGS... wants that exit code.
func exitcode(ts *testscript.TestScript, neg bool, args []string) {
	want, err := strconv.Atoi(args[0])
	if err != nil || neg || len(args) < 2 {
		ts.Fatalf("usage: exitcode N COMMAND ARGS...")
	}
	err = ts.Exec(args[1], args[2:]...)
	got := 0
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		got = exit.ExitCode()
	} else if err != nil {
		ts.Fatalf("%v", err)
	}
	if got != want {
		ts.Fatalf("exit code %d, want %d", got, want)
	}
}

// errorline wants that standard error is one line, of the form that is promised,
// with all of the given texts in it.
func errorline(ts *testscript.TestScript, neg bool, args []string) {
	text := ts.ReadFile("stderr")
	if strings.Count(text, "\n") != 1 || !strings.HasPrefix(text, "pinfs: ") {
		ts.Fatalf("not one line that begins with pinfs: %q", text)
	}
	for _, want := range args {
		if strings.Contains(text, want) == neg {
			ts.Fatalf("error line %q; contains %q: %v", text, want, neg)
		}
	}
}

// json FILE PATH [VALUE] compares what is at PATH (names and indexes, with dots)
// of the one JSON value in FILE; "#" at its end is the length. Without VALUE it
// must be there. "!" negates.
func jsonValue(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) < 2 {
		ts.Fatalf("usage: json FILE PATH [VALUE]")
	}
	var v any
	d := json.NewDecoder(strings.NewReader(ts.ReadFile(args[0])))
	d.UseNumber()
	if err := d.Decode(&v); err != nil {
		ts.Fatalf("%s: %v", args[0], err)
	}
	if d.More() {
		ts.Fatalf("%s: more than one JSON value", args[0])
	}
	v, ok := descend(v, args[1])
	if len(args) == 2 {
		if ok == neg {
			ts.Fatalf("%s is there: %v", args[1], ok)
		}
		return
	}
	got := plain(v)
	if !ok || (got == args[2]) == neg {
		ts.Fatalf("%s is %s, want %s (negated: %v)", args[1], got, args[2], neg)
	}
}

func descend(v any, path string) (any, bool) {
	if path == "." {
		return v, true
	}
	for _, step := range strings.Split(path, ".") {
		switch x := v.(type) {
		case map[string]any:
			var ok bool
			if v, ok = x[step]; !ok {
				return nil, false
			}
		case []any:
			if step == "#" {
				v = json.Number(strconv.Itoa(len(x)))
				continue
			}
			i, err := strconv.Atoi(step)
			if err != nil || i >= len(x) {
				return nil, false
			}
			v = x[i]
		default:
			return nil, false
		}
	}
	return v, true
}

// plain gives strings as they are and everything else as JSON.
func plain(v any) string {
	if s, ok := v.(string); ok {
		return s
	}
	text, _ := json.Marshal(v)
	return string(text)
}

// mounted DIR wants a pinfs mount at DIR; "!" wants none.
func mounted(ts *testscript.TestScript, neg bool, args []string) {
	dir := ts.MkAbs(args[0])
	found := false
	for _, point := range mountsBelow(filepath.Dir(dir)) {
		found = found || point == dir
	}
	if found == neg {
		ts.Fatalf("%s is mounted: %v", dir, found)
	}
}

// signal NAME FILE sends a signal to the process whose pid is in FILE as JSON
// ({"pid": N}).
func signalProcess(ts *testscript.TestScript, _ bool, args []string) {
	sig := map[string]syscall.Signal{"INT": syscall.SIGINT, "TERM": syscall.SIGTERM, "KILL": syscall.SIGKILL}[args[0]]
	ts.Check(syscall.Kill(pidIn(ts, args[1]), sig))
}

// ended FILE waits until the process whose pid is in FILE is gone.
func ended(ts *testscript.TestScript, _ bool, args []string) {
	pid := pidIn(ts, args[0])
	for range 1000 {
		if !alive(pid) {
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
	ts.Fatalf("process %d is still there", pid)
}

func pidIn(ts *testscript.TestScript, file string) int {
	var reply struct{ PID int }
	ts.Check(json.Unmarshal([]byte(ts.ReadFile(file)), &reply))
	return reply.PID
}

func alive(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return false
	}
	_, rest, _ := strings.Cut(string(stat), ") ")
	return !strings.HasPrefix(rest, "Z")
}

// arguments FILE prints the command line of the process whose pid is in FILE.
func arguments(ts *testscript.TestScript, _ bool, args []string) {
	line, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pidIn(ts, args[0])))
	ts.Check(err)
	_, err = fmt.Fprintln(ts.Stdout(), strings.ReplaceAll(string(line), "\x00", " "))
	ts.Check(err)
}

// webserver DIR serves the files of DIR until the script ends, at $WEB.
func webserver(ts *testscript.TestScript, _ bool, args []string) {
	server := httptest.NewServer(http.FileServer(http.Dir(ts.MkAbs(args[0]))))
	ts.Defer(server.Close)
	ts.Setenv("WEB", server.URL)
}

// xattr PATH NAME prints an extended attribute; a program of its own, since a mount
// may hang who asks it.
func xattr() {
	value := make([]byte, 4096)
	n, err := unix.Getxattr(os.Args[1], os.Args[2], value)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println(string(value[:n]))
}
