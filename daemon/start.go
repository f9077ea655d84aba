package daemon

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"syscall"
	"time"

	"github.com/pinfs/pinfs/manifest"
)

// startWait is how long a daemon may take to get ready.
const startWait = 30 * time.Second

// ReadyFD is the descriptor on which a daemon in the background says that it is
// ready, see Ready.
const ReadyFD = 3

// Start runs argv as a daemon of the cache directory dir: in a session of its
// own, at "/", logging to daemon.log in dir. It returns when the daemon is ready.
// An error is the one that the daemon gave to Ready; KindBusy: somebody else
// holds the directory.
func Start(ctx context.Context, dir string, argv []string) error {
	if err := MakeCacheDir(dir); err != nil {
		return err
	}
	log, _, err := openLog(logPath(dir), maxLog)
	if err != nil {
		return &manifest.Error{Op: "open log", Ref: logPath(dir), Err: err, Hint: "use another --cache-dir"}
	}
	defer log.Close()
	answer, ready, err := os.Pipe()
	if err != nil {
		return err
	}
	defer answer.Close()
	cmd := &exec.Cmd{Path: "/proc/self/exe", Args: argv, Dir: "/", Stdout: log, Stderr: log,
		ExtraFiles: []*os.File{ready}, SysProcAttr: &syscall.SysProcAttr{Setsid: true}}
	err = cmd.Start()
	ready.Close()
	if err != nil {
		return &manifest.Error{Op: "start daemon", Ref: dir, Err: err}
	}
	if err := awaitReady(ctx, answer, dir); err != nil {
		answer.Close()
		abandon(cmd, manifest.KindOf(err) == manifest.KindTimeout)
		return err
	}
	return cmd.Process.Release()
}

// abandon is for a daemon that does not get ready. One that said why is ending; one
// that was not waited for finds nobody to tell and ends in peace: a kill in the
// middle of a start would count against the cache's index.
func abandon(cmd *exec.Cmd, kill bool) {
	if kill {
		_ = cmd.Process.Kill()
	}
	ended := make(chan struct{})
	go func() { // ends with the process
		defer close(ended)
		_ = cmd.Wait() // what it has to say is in its log
	}()
	select {
	case <-ended:
	case <-time.After(cancelWait):
	}
}

// awaitReady reads what the daemon says of its start.
func awaitReady(ctx context.Context, answer *os.File, dir string) error {
	ctx, cancel := context.WithTimeout(ctx, startWait)
	defer cancel()
	defer context.AfterFunc(ctx, func() { _ = answer.SetReadDeadline(time.Now()) })()
	line, err := bufio.NewReader(io.LimitReader(answer, maxMessage)).ReadBytes('\n')
	var said wireAnswer
	switch {
	case err == nil && json.Unmarshal(line, &said) == nil && said.Error != nil:
		return said.Error.fromWire()
	case err == nil && said.PID != 0:
		return nil
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return &manifest.Error{Kind: manifest.KindTimeout, Op: "start daemon", Ref: dir, Msg: "it does not get ready", Hint: "see " + logPath(dir)}
	case ctx.Err() != nil:
		return ctx.Err()
	}
	return &manifest.Error{Op: "start daemon", Ref: dir, Msg: "it ended at once", Hint: "see " + logPath(dir)}
}

// Ready tells the process that called Start how the start went, once.
func Ready(to io.WriteCloser, err error) error {
	said := wireAnswer{PID: os.Getpid()}
	if err != nil {
		said = wireAnswer{Error: toWire(err)}
	}
	line, err := json.Marshal(said)
	if err != nil {
		return err
	}
	if _, err := fmt.Fprintf(to, "%s\n", line); err != nil {
		to.Close()
		return err
	}
	return to.Close()
}
