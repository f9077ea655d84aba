package servers

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"time"
)

const (
	readyDeadline = 90 * time.Second // a busy host of few cores starts Azurite in 25 s
	stopDeadline  = 10 * time.Second
	killDeadline  = 10 * time.Second
	readyPause    = 10 * time.Millisecond
	logTail       = 4 << 10 // bytes
)

// process is a server that runs as a child process, with its own children in a
// process group of its own. It has no descriptor of the test binary: who waits for
// the end of that one's output must not wait for a server. It is not for use by
// several goroutines at once.
type process struct {
	name    string
	command func() *exec.Cmd // a fresh one for each start
	ready   string           // URL that answers 200 as soon as it serves
	logPath string

	cmd    *exec.Cmd
	exited chan struct{} // closed when cmd has ended
}

// start starts the process and waits until it serves.
func (p *process) start() error {
	log, err := os.OpenFile(p.logPath, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	cmd := p.command()
	cmd.Stdin, cmd.Stdout, cmd.Stderr = nil, log, log
	cmd.WaitDelay = killDeadline
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
	if err := p.launch(cmd); err != nil {
		return fmt.Errorf("start %s: %w", p.name, err)
	}
	if err := p.waitReady(); err != nil {
		tail := p.tail()
		return errors.Join(fmt.Errorf("%w; its log ends: %s", err, tail), p.stop())
	}
	return nil
}

// launch starts cmd from a thread that lives as long as cmd does, since
// Pdeathsig is sent when the *thread* that started the child ends.
func (p *process) launch(cmd *exec.Cmd) error {
	started, exited := make(chan error, 1), make(chan struct{})
	go func() {
		defer close(exited)
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			_ = cmd.Wait() // how it ended shows in its log
		}
	}()
	p.cmd, p.exited = cmd, exited
	return <-started
}

func (p *process) waitReady() error {
	ctx, cancel := context.WithTimeout(context.Background(), readyDeadline)
	defer cancel()
	client := &http.Client{Timeout: 2 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	for !answers(ctx, client, p.ready) {
		select {
		case <-p.exited:
			return fmt.Errorf("%s ended at once (%s)", p.name, p.cmd.ProcessState)
		case <-ctx.Done():
			return fmt.Errorf("%s does not answer at %s within %s", p.name, p.ready, readyDeadline)
		case <-time.After(readyPause):
		}
	}
	return nil
}

func answers(ctx context.Context, client *http.Client, url string) bool {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return false
	}
	resp, err := client.Do(req)
	if err != nil {
		return false
	}
	defer resp.Body.Close()
	return resp.StatusCode == http.StatusOK
}

// stop asks the process to end, and kills it when it does not; what it started and
// left behind is killed. It may be called again.
func (p *process) stop() error {
	if p.cmd == nil || p.cmd.Process == nil {
		return nil
	}
	_ = p.cmd.Process.Signal(syscall.SIGTERM) // it may have ended
	select {
	case <-p.exited:
		return p.kill()
	case <-time.After(stopDeadline):
	}
	return errors.Join(fmt.Errorf("%s ignored TERM for %s and was killed", p.name, stopDeadline), p.kill())
}

// kill ends the process and its children at once.
func (p *process) kill() error {
	_ = syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL) // all may have ended
	select {
	case <-p.exited:
		return nil
	case <-time.After(killDeadline):
		return fmt.Errorf("%s (pid %d) is still there %s after KILL", p.name, p.cmd.Process.Pid, killDeadline)
	}
}

// tail gives the end of the process' log.
func (p *process) tail() string {
	f, err := os.Open(p.logPath)
	if err != nil {
		return err.Error()
	}
	defer f.Close()
	if info, err := f.Stat(); err == nil && info.Size() > logTail {
		if _, err := f.Seek(-logTail, io.SeekEnd); err != nil {
			return err.Error()
		}
	}
	data, err := io.ReadAll(io.LimitReader(f, logTail))
	if err != nil {
		return err.Error()
	}
	return string(bytes.TrimSpace(data))
}

// freePort gives a port of the loopback interface that nobody listens on now.
func freePort() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	addr := l.Addr().String()
	return addr, l.Close()
}
