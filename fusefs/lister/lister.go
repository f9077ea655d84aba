package lister

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"time"
)

const (
	// wait is how long an answer may take. A directory is listed in milliseconds.
	wait = 5 * time.Second
	// idle is how long the process stays without a request.
	idle = time.Minute
	// pause is how long nothing is tried after the process did not answer.
	pause = time.Minute
)

// Lister has directories listed by a process that it starts when it is needed. Its
// methods may be called from many goroutines at once.
type Lister struct {
	argv []string
	log  *slog.Logger

	mu     sync.Mutex // guards all below, and held while a request is under way
	p      *process   // nil: none runs
	closed bool
	broken time.Time // until when nothing is tried
	stop   *time.Timer
}

// process is one that runs Serve.
type process struct {
	cmd     *exec.Cmd
	to      *os.File
	from    *os.File
	answers *bufio.Reader
}

var errUnavailable = errors.New("list ahead: not available")

// New gives a Lister whose processes are this program with the arguments argv,
// which must come to Serve with its standard input and output.
func New(argv []string, log *slog.Logger) *Lister {
	return &Lister{argv: argv, log: log}
}

// List has directories listed, MaxRequests at most; one that can't be is passed over.
// It waits for one call at a time, each for some seconds at most; after one that took
// longer, and where no process can be started, it fails at once for a while.
func (l *Lister) List(ctx context.Context, all []Request) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed || time.Now().Before(l.broken) {
		return errUnavailable
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := l.ensure(); err != nil {
		l.fail(err)
		return err
	}
	a, err := l.p.ask(all)
	if err != nil {
		l.fail(err)
		return err
	}
	l.restIn(idle)
	if a.Error != "" {
		return errors.New(a.Error)
	}
	return nil
}

// Quietly calls fn while nothing is being listed, so that no mount is in use by it.
func (l *Lister) Quietly(fn func() error) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return fn()
}

// Close ends the process. Nothing is listed any more.
func (l *Lister) Close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
	l.end()
}

// ensure starts a process if none runs.
func (l *Lister) ensure() (err error) {
	if l.p == nil {
		l.p, err = start(l.argv)
	}
	return err
}

// fail ends a process that did not do as it should.
func (l *Lister) fail(err error) {
	l.log.Warn("directories are not listed ahead of readers for a while", "error", err)
	l.broken = time.Now().Add(pause)
	l.end()
}

// restIn ends the process when no request comes for so long.
func (l *Lister) restIn(d time.Duration) {
	if l.stop != nil {
		l.stop.Reset(d)
		return
	}
	l.stop = time.AfterFunc(d, func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.end()
	})
}

// end ends the process, if there is one.
func (l *Lister) end() {
	if l.stop != nil {
		l.stop.Stop()
		l.stop = nil
	}
	if l.p != nil {
		l.p.end()
		l.p = nil
	}
}

// start runs this program again. It gets nothing of this process's environment,
// which may have secrets.
func start(argv []string) (*process, error) {
	in, to, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("list ahead: %w", err)
	}
	defer in.Close()
	from, out, err := os.Pipe()
	if err != nil {
		to.Close()
		return nil, fmt.Errorf("list ahead: %w", err)
	}
	defer out.Close()
	cmd := &exec.Cmd{Path: "/proc/self/exe", Args: argv, Env: []string{}, Dir: "/", Stdin: in, Stdout: out,
		SysProcAttr: &syscall.SysProcAttr{Setpgid: true}}
	if err := cmd.Start(); err != nil {
		to.Close()
		from.Close()
		return nil, fmt.Errorf("list ahead: %w", err)
	}
	return &process{cmd: cmd, to: to, from: from, answers: bufio.NewReader(from)}, nil
}

// ask sends a request and waits for its answer.
func (p *process) ask(all []Request) (a wireAnswer, err error) {
	wire := make([]wireRequest, 0, len(all))
	for _, r := range all {
		wire = append(wire, wireRequest{[]byte(r.Dir), r.Device, r.From, r.Names})
	}
	line, err := json.Marshal(wire)
	if err != nil {
		return a, err
	}
	deadline := time.Now().Add(wait)
	_ = p.to.SetDeadline(deadline) // pipes have them
	_ = p.from.SetDeadline(deadline)
	if _, err := p.to.Write(append(line, '\n')); err != nil {
		return a, fmt.Errorf("list ahead: %w", err)
	}
	if line, err = p.answers.ReadSlice('\n'); err != nil {
		return a, fmt.Errorf("list ahead: %w", err)
	}
	if err := json.Unmarshal(line, &a); err != nil {
		return a, fmt.Errorf("list ahead: %w", err)
	}
	return a, nil
}

// end closes the pipes, which ends the process as soon as it gets its answer from
// the mount.
func (p *process) end() {
	p.to.Close()
	p.from.Close()
	_ = p.cmd.Process.Kill()
	go func() { _ = p.cmd.Wait() }() // ends with the process
}
