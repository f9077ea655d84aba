package owner

import (
	"context"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/pinfs/pinfs/manifest"
)

// ending is how a worker ended.
type ending struct {
	ready bool  // before that
	code  int   // as a shell has it
	err   error // it could not be started or waited for; then there is no code
}

// once starts a worker, and returns when it has ended and all that it sent was read.
func (o *owner) once(ctx context.Context) ending {
	p, err := o.start()
	o.first = false
	if closing := closeFile(o.Ready); err == nil && closing != nil {
		o.Logger.Warn("close the first worker's descriptor", "error", closing)
	}
	if err != nil {
		return ending{err: err}
	}
	ready, stop := o.hear(p.Pid)
	e := o.watch(ctx, p, ready)
	e.ready = stop()
	if e.ready {
		o.everReady, o.unready = true, 0
		o.programs.proved()
	} else {
		o.unready++
		o.programs.unready()
	}
	return e
}

// start starts the first program that can be.
func (o *owner) start() (*os.Process, error) {
	attr := o.attr()
	var failed error
	for range o.programs.all {
		path := o.programs.current()
		pid, _, err := syscall.StartProcess(path, o.Args, attr)
		if err == nil {
			return os.FindProcess(pid)
		}
		failed = &manifest.Error{Op: "start worker", Ref: path, Err: err}
		o.Logger.Error("a program can't be started", "error", failed)
		o.programs.skip()
	}
	return nil, failed
}

// attr is what a worker gets. What is kept is passed as it is: made an os.File it could
// become a part of this process's polling, and get other flags by that.
func (o *owner) attr() *syscall.ProcAttr {
	files := []uintptr{o.null.Fd(), o.orNull(o.Stdout), o.orNull(o.Stderr)}
	env := append(o.environment(), "NOTIFY_SOCKET="+o.socket.name)
	if o.unready >= giveUp {
		env = append(env, GiveUpEnv+"="+strconv.Itoa(o.unready))
	}
	if n := len(o.kept.all); n > 0 {
		env = append(env, "LISTEN_FDS="+strconv.Itoa(n), "LISTEN_FDNAMES="+o.kept.names())
	}
	for _, d := range o.kept.all {
		files = append(files, uintptr(d.fd))
	}
	if o.first && o.Ready != nil {
		env = append(env, ReadyEnv+"="+strconv.Itoa(len(files)))
		files = append(files, o.Ready.Fd())
	}
	return &syscall.ProcAttr{Dir: o.Dir, Env: env, Files: files, Sys: &syscall.SysProcAttr{Setpgid: true}}
}

func (o *owner) orNull(f *os.File) uintptr {
	if f == nil {
		f = o.null
	}
	return f.Fd()
}

// environment is what was given, without what another keeper said to this process.
func (o *owner) environment() []string {
	env := o.Env
	if env == nil {
		env = os.Environ()
	}
	return slices.DeleteFunc(slices.Clone(env), func(v string) bool {
		name, _, _ := strings.Cut(v, "=")
		return name == "NOTIFY_SOCKET" || name == ReadyEnv || name == GiveUpEnv || strings.HasPrefix(name, "LISTEN_") || strings.HasPrefix(name, "WATCHDOG_")
	})
}

// watch waits for the end of a worker, and ends it when it does not get ready, or when
// ctx ends.
func (o *owner) watch(ctx context.Context, p *os.Process, ready <-chan struct{}) ending {
	ended := make(chan ending, 1)
	go func() { ended <- await(p) }() // ends with the process
	limit := time.NewTimer(o.clock.readyWait())
	defer limit.Stop()
	done, stopping, killed := ctx.Done(), false, false
	for {
		select {
		case e := <-ended:
			return e
		case <-ready:
			limit.Stop()
			ready = nil
		case <-done:
			done, ready, stopping = nil, nil, true
			_ = p.Signal(syscall.SIGTERM) // it may have ended
			limit.Reset(o.clock.stopWait)
		case <-limit.C:
			if killed && stopping {
				return ending{err: &manifest.Error{Kind: manifest.KindTimeout, Op: "end worker", Ref: strconv.Itoa(p.Pid), Msg: "it can't be killed"}}
			}
			o.Logger.Error("the worker does not get ready or does not end, it is killed", "pid", p.Pid)
			killed = true
			_ = p.Kill()
			limit.Reset(o.clock.killWait)
		}
	}
}

// await waits for p.
func await(p *os.Process) ending {
	state, err := p.Wait()
	if err != nil {
		return ending{err: err}
	}
	if status, ok := state.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		return ending{code: signalCode + int(status.Signal())}
	}
	return ending{code: state.ExitCode()}
}
