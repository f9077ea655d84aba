package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const (
	stopLimit  = 15 * time.Second
	mountLimit = 60 * time.Second
	errorTail  = 300 // bytes of a program's output that an error quotes
)

// command is a program in a process group of its own, killed with it when ctx ends.
func command(ctx context.Context, env []string, name string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Env = append(os.Environ(), env...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = stopLimit
	return cmd
}

// output runs a program to its end.
func output(ctx context.Context, limit time.Duration, env []string, name string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	out, err := command(ctx, env, name, args...).CombinedOutput()
	if err != nil {
		return string(out), fmt.Errorf("%s %s: %w: %s", name, strings.Join(args, " "), err, tail(string(out)))
	}
	return string(out), nil
}

func tail(s string) string {
	s = strings.Join(strings.Fields(s), " ")
	return s[max(len(s)-errorTail, 0):]
}

// child is a program that serves until it is stopped.
type child struct {
	cmd    *exec.Cmd
	log    string
	exited chan struct{}
}

// start starts a server with its output in a file. The kernel kills it when this
// process dies: the thread that started it stays as long as it does.
func start(log string, env []string, name string, args ...string) (*child, error) {
	f, err := os.Create(log)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	cmd := exec.Command(name, args...)
	cmd.Env = append(os.Environ(), env...)
	cmd.Stdout, cmd.Stderr = f, f
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	c := &child{cmd: cmd, log: log, exited: make(chan struct{})}
	started := make(chan error, 1)
	go func() {
		defer close(c.exited)
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			_ = cmd.Wait() // how it ended shows in its log
		}
	}()
	return c, <-started
}

// ended is true when the program has ended.
func (c *child) ended() bool {
	select {
	case <-c.exited:
		return true
	default:
		return false
	}
}

// stop asks the program to end, and kills it when it does not.
func (c *child) stop() {
	_ = c.cmd.Process.Signal(syscall.SIGTERM) // it may have ended
	select {
	case <-c.exited:
	case <-time.After(stopLimit):
	}
	_ = syscall.Kill(-c.cmd.Process.Pid, syscall.SIGKILL)
	<-c.exited
}

// why gives the end of the program's log.
func (c *child) why() string {
	data, err := os.ReadFile(c.log)
	if err != nil {
		return err.Error()
	}
	lines := slices.DeleteFunc(strings.Split(string(data), "\n"), func(l string) bool { return strings.Contains(l, "[INF]") })
	return tail(strings.Join(lines, "\n"))
}

// serveMount starts a program that mounts at dir, and waits until it answers.
func serveMount(ctx context.Context, dir, mark string, env []string, name string, args ...string) (*child, error) {
	c, err := start(dir+".log", append(env, markName+"="+mark), name, args...)
	if err != nil {
		return nil, err
	}
	err = until(ctx, mountLimit, "mount", func() bool { return c.ended() || isMounted(dir) })
	if err == nil && c.ended() {
		err = errors.New("ended at once")
	}
	if err == nil {
		_, err = output(ctx, mountLimit, nil, "stat", dir) // in a process that can be killed
	}
	if err != nil {
		err = fmt.Errorf("%w: %s", err, c.why())
		unmount(dir)
		c.stop()
		return nil, err
	}
	return c, nil
}

// unmount takes a mount away, busy or not.
func unmount(dir string) {
	for range 3 {
		if !isMounted(dir) {
			return
		}
		if unix.Unmount(dir, unix.MNT_DETACH) != nil {
			_, _ = output(context.Background(), stopLimit, nil, "fusermount3", "-u", "-z", dir)
		}
	}
}

// reap ends what still has the mark.
func reap(mark string) {
	gone := func() bool { return len(marked(mark)) == 0 }
	if until(context.Background(), stopLimit, "end", gone) == nil {
		return
	}
	for _, pid := range marked(mark) {
		_ = syscall.Kill(pid, syscall.SIGKILL)
	}
}
