package lister_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"github.com/pinfs/pinfs/fusefs/lister"
	"github.com/pinfs/pinfs/testwarden"
)

// TestMain is also what a Lister starts: it runs this binary.
func TestMain(m *testing.M) {
	if len(os.Args) == 2 {
		switch os.Args[1] {
		case "serve":
			if lister.Serve(os.Stdin, os.Stdout) == nil && len(os.Environ()) == 0 {
				os.Exit(0)
			}
			os.Exit(1)
		case "die":
			os.Exit(1)
		}
	}
	testwarden.Main()
	goleak.VerifyTestMain(m)
}

func ok(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// fill makes a directory of n files and gives a request for all.
func fill(t testing.TB, n int) []lister.Request {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "ä \xff\n%")
	ok(t, os.Mkdir(dir, 0o700))
	for i := range n {
		ok(t, os.WriteFile(fmt.Sprintf("%s/%d", dir, i), nil, 0o600))
	}
	var st unix.Stat_t
	ok(t, unix.Stat(dir, &st))
	return []lister.Request{{Dir: dir, Device: st.Dev, Names: 1 << 30}}
}

func newLister(t testing.TB, role string) *lister.Lister {
	l := lister.New([]string{"lister", role}, slog.New(slog.DiscardHandler))
	t.Cleanup(l.Close)
	return l
}

// children gives the processes that this one started and that run.
func children(t testing.TB) []string {
	t.Helper()
	data, err := os.ReadFile(fmt.Sprintf("/proc/self/task/%d/children", os.Getpid()))
	ok(t, err)
	all := strings.Fields(string(data))
	tasks, err := filepath.Glob("/proc/self/task/*/children")
	ok(t, err)
	for _, path := range tasks {
		if data, err := os.ReadFile(path); err == nil && filepath.Base(filepath.Dir(path)) != fmt.Sprint(os.Getpid()) {
			all = append(all, strings.Fields(string(data))...)
		}
	}
	return all
}

func TestListInAnotherProcess(t *testing.T) {
	l, r := newLister(t, "serve"), fill(t, 3000)
	for range 3 {
		ok(t, l.List(t.Context(), r))
	}
	if n := len(children(t)); n != 1 {
		t.Errorf("%d processes for three requests", n)
	}
	elsewhere, absent := r[0], r[0]
	elsewhere.Device++
	absent.Dir += "x"
	for _, bad := range []lister.Request{elsewhere, absent} {
		if l.List(t.Context(), []lister.Request{bad, r[0]}) == nil {
			t.Errorf("%+v was listed", bad)
		}
	}
	ok(t, l.List(t.Context(), r)) // what can't be listed is no fault of the process
	l.Close()
	if err := l.List(t.Context(), r); err == nil {
		t.Error("listed after Close")
	}
	for wait := time.Now().Add(10 * time.Second); len(children(t)) > 0; {
		if time.Now().After(wait) {
			t.Fatalf("left: %v", children(t))
		}
		time.Sleep(time.Millisecond)
	}
}

// TestProcessThatDies: its requests fail, and the next ones at once.
func TestProcessThatDies(t *testing.T) {
	l, r := newLister(t, "die"), fill(t, 1)
	for range 5 {
		if l.List(t.Context(), r) == nil {
			t.Fatal("listed by a process that ended")
		}
	}
	if n := len(children(t)); n > 1 {
		t.Errorf("%d processes were started again and again", n)
	}
}

// TestProcessIsKilled: a request fails, and nothing else happens.
func TestProcessIsKilled(t *testing.T) {
	l, r := newLister(t, "serve"), fill(t, 1)
	ok(t, l.List(t.Context(), r))
	for _, pid := range children(t) {
		var n int
		_, err := fmt.Sscan(pid, &n)
		ok(t, err)
		ok(t, unix.Kill(n, unix.SIGKILL))
	}
	if l.List(t.Context(), r) == nil {
		t.Error("listed by a process that was killed")
	}
}

func TestContextThatEnded(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	l := newLister(t, "serve")
	if err := l.List(ctx, fill(t, 1)); err == nil {
		t.Error("listed for nobody")
	}
	if n := len(children(t)); n != 0 {
		t.Errorf("%d processes for nobody", n)
	}
}

// TestServeCounts: no more is listed than was asked for, but for what one buffer
// holds, and from an offset only what is behind it.
func TestServeCounts(t *testing.T) {
	r := fill(t, 5000)[0]
	serve := func(all ...lister.Request) (names int, failed string) {
		var wire []map[string]any
		for _, r := range all {
			wire = append(wire, map[string]any{"dir": []byte(r.Dir), "device": r.Device, "from": r.From, "names": r.Names})
		}
		line, err := json.Marshal(wire)
		ok(t, err)
		var out bytes.Buffer
		ok(t, lister.Serve(bytes.NewReader(append(line, '\n')), &out))
		var a struct {
			Names int
			Error string
		}
		ok(t, json.Unmarshal(out.Bytes(), &a))
		return a.Names, a.Error
	}
	if n, failed := serve(r); n != 5002 || failed != "" {
		t.Errorf("all: %d names, %q; want 5002", n, failed)
	}
	absent := r
	absent.Dir += "x"
	if n, failed := serve(r, absent, r); n != 2*5002 || failed == "" {
		t.Errorf("two, and one that is not there: %d names, %q", n, failed)
	}
	r.Names = 100
	if n, failed := serve(r); n < 100 || n > 2000 || failed != "" {
		t.Errorf("a hundred: %d names, %q", n, failed)
	}
	r.Dir += "/0"
	if n, failed := serve(r); n != 0 || failed == "" {
		t.Errorf("a file: %d names, %q", n, failed)
	}
}

func TestServeRefusesNonsense(t *testing.T) {
	for _, in := range []string{"x\n", "{}\n", `[{"dir":1}]` + "\n", strings.Repeat("x", 2<<20)} {
		var out bytes.Buffer
		if err := lister.Serve(strings.NewReader(in), &out); err == nil || out.Len() > 0 {
			t.Errorf("%.20q: %v, answered %q", in, err, out.String())
		}
	}
}
