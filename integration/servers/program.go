package servers

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
)

// startTries is how often a start is tried: between finding a free port and
// listening on it somebody else may take it.
const startTries = 3

// program is what all servers are: a child process and the directory with its
// data and its log. Not for use by several goroutines at once.
type program struct {
	process *process
	dir     string
	closers []func() // run before the process is stopped, last first
}

// stopper is a server, to whoever only wants to end it.
type stopper interface {
	remove()
	logTail() (name, tail string)
}

// tried gives the first server that starts.
func tried[S stopper](start func() (S, error)) (s S, stop func(), err error) {
	for range startTries {
		if s, err = start(); err == nil {
			return s, s.remove, nil
		}
	}
	return s, nil, err
}

// forTest starts a server and ends it with the test. When the test fails, the
// end of the server's log is added to its output.
func forTest[S stopper](t testing.TB, start func() (S, func(), error)) S {
	t.Helper()
	s, stop, err := start()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if name, log := s.logTail(); t.Failed() && log != "" {
			t.Logf("the log of %s ends:\n%s", name, log)
		}
		stop()
	})
	return s
}

func (p *program) path(name string) string { return filepath.Join(p.dir, name) }

func (p *program) logTail() (name, tail string) { return p.process.name, p.process.tail() }

// LogTail gives the end of the server's log, for the output of a failed test.
func (p *program) LogTail() string { return p.process.tail() }

// run makes the directories that the process wants and starts it; a server that
// can't start leaves nothing behind.
func (p *program) run(dirs ...string) error {
	for _, d := range dirs {
		if err := os.Mkdir(p.path(d), 0o700); err != nil {
			p.remove()
			return err
		}
	}
	if err := p.process.start(); err != nil {
		p.remove()
		return err
	}
	return nil
}

// Stop ends the server; its data and address stay. Requests are refused until
// Restart.
func (p *program) Stop(t testing.TB) {
	t.Helper()
	if err := p.process.stop(); err != nil {
		t.Fatal(err)
	}
}

// Kill is Stop without a goodbye: connections that clients keep open end too.
func (p *program) Kill(t testing.TB) {
	t.Helper()
	if err := p.process.kill(); err != nil {
		t.Fatal(err)
	}
}

// Restart starts a stopped server again with the same data at the same address.
func (p *program) Restart(t testing.TB) {
	t.Helper()
	if err := errors.Join(p.process.stop(), p.process.start()); err != nil {
		t.Fatal(err)
	}
}

func (p *program) remove() {
	for i := len(p.closers) - 1; i >= 0; i-- {
		p.closers[i]()
	}
	_ = p.process.stop() // killed is stopped as well
	_ = os.RemoveAll(p.dir)
}
