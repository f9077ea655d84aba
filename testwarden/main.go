package testwarden

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// childEnv is set in the process that runs the tests and all that it starts.
const childEnv = "PINFS_TEST_WARDEN"

const (
	maxPatience = 15 * time.Second // after the tests' own timeout
	lingerWait  = 15 * time.Second // for what ends by itself after the tests, as daemons do
	killWait    = 10 * time.Second
)

// Main returns in a process that shall run the tests. In a process that `go test`
// started it runs them in a child and exits with its code, or with 1 when they left
// something behind, or 2 when they hung. Processes that tests start of their own
// binary must have played their role before.
func Main() {
	if os.Getenv(childEnv) != "" {
		return
	}
	runtime.LockOSThread() // until the end: the child is killed when this thread ends
	code, err := watch()
	if err != nil {
		fmt.Fprintln(os.Stderr, "testwarden:", err)
		code = 1
	}
	os.Exit(code)
}

// warden is what the parent knows of its child.
type warden struct {
	pid      int
	tmp      string          // the child's TMPDIR
	ended    chan int        // gets the child's exit code
	alone    chan struct{}   // closed when no process of the tests is left
	output   <-chan struct{} // closed when all output was copied
	deadline <-chan time.Time
	told     chan os.Signal
}

// watch runs the tests and gives their exit code.
func watch() (int, error) {
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		return 1, fmt.Errorf("become the reaper of what the tests start: %w", err)
	}
	tmp, err := os.MkdirTemp("", "t") // short: sockets' paths are
	if err != nil {
		return 1, err
	}
	if err := os.Chmod(tmp, 0o777|os.ModeSticky); err != nil { // some tests are another user
		return 1, err
	}
	w := &warden{tmp: tmp, ended: make(chan int, 1), alone: make(chan struct{}), told: make(chan os.Signal, 10)}
	signal.Notify(w.told, unix.SIGINT, unix.SIGTERM, unix.SIGHUP, unix.SIGQUIT)
	flag.Parse() // go test's
	if d := flag.Lookup("test.timeout").Value.(flag.Getter).Get().(time.Duration); d > 0 {
		w.deadline = time.After(d + min(d/4, maxPatience))
	}
	if err := w.start(); err != nil {
		return 1, err
	}
	code := w.wait()
	if w.cleanUp() && code == 0 {
		code = 1
	}
	select {
	case <-w.output:
	case <-time.After(killWait): // a process that can't be killed keeps it open
	}
	if len(w.mounts()) == 0 { // else it could hang
		_ = os.RemoveAll(tmp)
	}
	return code, nil
}

// start starts the child, whose output is copied: nobody but the warden has the
// descriptors that the reader of the tests' output waits for.
func (w *warden) start() error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	null, err := os.Open(os.DevNull)
	if err != nil {
		return err
	}
	defer null.Close()
	r, out, err := os.Pipe()
	if err != nil {
		return err
	}
	defer out.Close()
	if err := errors.Join(os.Setenv(childEnv, "1"), os.Setenv("TMPDIR", w.tmp)); err != nil {
		return err
	}
	p, err := os.StartProcess(self, os.Args, &os.ProcAttr{
		Files: []*os.File{null, out, out},
		Sys:   &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL},
	})
	if err != nil {
		return err
	}
	w.pid = p.Pid
	copied := make(chan struct{})
	w.output = copied
	go func() { defer close(copied); _, _ = io.Copy(os.Stdout, r) }()
	go w.reap()
	return nil
}

// reap waits for all children: the tests, and what they orphaned.
func (w *warden) reap() {
	defer close(w.alone)
	for {
		var status unix.WaitStatus
		pid, err := unix.Wait4(-1, &status, 0, nil)
		switch {
		case err == unix.EINTR:
		case err != nil:
			return // ECHILD
		case pid == w.pid && status.Signaled():
			fmt.Printf("testwarden: the tests were killed: %v\n", status.Signal())
			w.ended <- 1
		case pid == w.pid:
			w.ended <- status.ExitStatus()
		}
	}
}

// wait gives the tests' exit code, 2 when they had to be ended.
func (w *warden) wait() int {
	select {
	case code := <-w.ended:
		return code
	case <-w.deadline:
		fmt.Println("testwarden: the tests hang, after their timeout")
	case sig := <-w.told:
		fmt.Println("testwarden: got a signal:", sig)
		_ = unix.Kill(w.pid, unix.SIGQUIT) // goroutine dumps
	}
	select {
	case <-w.ended:
		return 2
	case <-time.After(time.Second):
	}
	w.showThreads()
	w.unmountAll()
	select {
	case <-w.ended: // its own timeout came after all
	case <-time.After(killWait):
		fmt.Println("testwarden: they still hang; killed")
	}
	return 2
}
