package daemon

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/cenkalti/backoff/v5"
	"golang.org/x/sys/unix"

	"github.com/pinfs/pinfs/cache"
	"github.com/pinfs/pinfs/manifest"
)

// How long a client waits in all.
const (
	mountWait  = 90 * time.Second // for a mount: a daemon may have to start and another to end
	answerWait = 30 * time.Second // for any other answer
	cancelWait = 2 * time.Second  // to take a request back, while somebody wants to leave
	endWait    = 10 * time.Second // for a daemon that has nothing left to end
	busyWait   = 10 * time.Second // for whoever holds the cache directory to answer

	replaceWait = 5 * time.Second // for a daemon in the place of one that died
	replaceLook = 20 * time.Millisecond
)

// Client asks the daemon of a cache directory.
type Client struct {
	dir  string
	http *http.Client
}

// NewClient makes a client of the daemon that holds the cache directory dir.
// There need not be one: each call says ErrNoDaemon then.
func NewClient(dir string) *Client {
	c := &Client{dir: dir}
	c.http = &http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext:       func(ctx context.Context, _, _ string) (net.Conn, error) { return dial(ctx, dir) },
	}}
	return c
}

// Mount asks for a mount; it is there and answers when Mount returns without an
// error.
func (c *Client) Mount(ctx context.Context, req MountRequest) (MountReply, error) {
	req.Token = rand.Text()
	var answer MountReply
	err := c.do(ctx, mountWait, http.MethodPost, "/v1/mounts", req, &answer)
	if err == nil {
		err = awaitAnswer(ctx, answer.MountPoint)
	}
	if ctx.Err() != nil || manifest.KindOf(err) == manifest.KindTimeout {
		c.cancel(context.WithoutCancel(ctx), UnmountRequest{Dir: req.Dir, Cancel: req.Token})
		if err == nil {
			err = ctx.Err()
		}
	}
	return answer, err
}

// awaitAnswer returns when the mount at dir answers. This is for the client to
// see: a daemon that is killed while it asks its own mount can't die.
func awaitAnswer(ctx context.Context, dir string) error {
	answered := make(chan error, 1)
	go func() { // ends when the mount answers or its daemon is gone
		var fs unix.Statfs_t
		answered <- unix.Statfs(dir, &fs)
	}()
	select {
	case err := <-answered:
		if err != nil {
			return &manifest.Error{Kind: manifest.KindOther, Op: "mount", Ref: dir, Msg: "the mount does not answer", Err: err}
		}
		return nil
	case <-time.After(answerWait):
		return &manifest.Error{Kind: manifest.KindTimeout, Op: "mount", Ref: dir, Msg: "the mount does not answer"}
	case <-ctx.Done():
		return ctx.Err()
	}
}

// cancel takes a request back whose answer nobody waits for. A daemon that does
// not answer now finds the connection closed when it gets to the request.
func (c *Client) cancel(ctx context.Context, req UnmountRequest) {
	_ = c.do(ctx, cancelWait, http.MethodDelete, "/v1/mounts", req, &UnmountReply{})
}

// Unmount ends a mount; when it was the last, it waits for the daemon to end, so
// that nobody uses the cache directory any more. KindNotFound: the daemon has no
// mount there. KindBusy: it is in use and lazy is false.
func (c *Client) Unmount(ctx context.Context, dir string, lazy bool) error {
	var answer UnmountReply
	err := c.do(ctx, answerWait, http.MethodDelete, "/v1/mounts", UnmountRequest{Dir: dir, Lazy: lazy}, &answer)
	if err == nil && answer.Last {
		awaitEnd(ctx, answer.PID)
	}
	return err
}

// Status asks the daemon about itself.
func (c *Client) Status(ctx context.Context) (Status, error) {
	var s Status
	err := c.do(ctx, answerWait, http.MethodGet, "/v1/status", nil, &s)
	return s, err
}

// Shutdown tells the daemon to unmount all and end. It returns at once.
func (c *Client) Shutdown(ctx context.Context) error {
	return c.do(ctx, answerWait, http.MethodPost, "/v1/shutdown", nil, &struct{}{})
}

// do asks the daemon. One that is being replaced is waited for: somebody holds the cache
// directory and nobody answers.
func (c *Client) do(ctx context.Context, wait time.Duration, method, path string, in, out any) error {
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	for begin := time.Now(); ; {
		err := c.once(ctx, method, path, in, out)
		unheard := err == ErrNoDaemon || method == http.MethodGet && errors.Is(err, ErrNoDaemon)
		if !unheard || time.Since(begin) > replaceWait || !cache.Held(c.dir) {
			return err
		}
		select {
		case <-time.After(replaceLook):
		case <-ctx.Done():
			return err
		}
	}
}

func (c *Client) once(ctx context.Context, method, path string, in, out any) error {
	response, err := c.send(ctx, method, path, in)
	if err != nil {
		return c.failed(ctx, err)
	}
	defer response.Body.Close()
	if err := readAnswer(response, out); err != nil {
		return c.failed(ctx, err)
	}
	return nil
}

func (c *Client) send(ctx context.Context, method, path string, in any) (*http.Response, error) {
	body, err := json.Marshal(in)
	if err != nil {
		return nil, err
	}
	r, err := http.NewRequestWithContext(ctx, method, "http://pinfs"+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	return c.http.Do(r)
}

// failed words what happened to a request. A connection that breaks off is a
// daemon that ended: as good as none.
func (c *Client) failed(ctx context.Context, err error) error {
	var typed *manifest.Error
	switch {
	case errors.Is(err, ErrNoDaemon):
		return ErrNoDaemon
	case errors.As(err, &typed):
		return typed
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return &manifest.Error{Kind: manifest.KindTimeout, Op: "ask the daemon", Ref: c.dir, Msg: "no answer",
			Hint: "see " + logPath(c.dir)}
	case ctx.Err() != nil:
		return ctx.Err()
	}
	return fmt.Errorf("%w: %w", ErrNoDaemon, err)
}

// MountOrStart asks the daemon for a mount. While there is none it calls start,
// which brings one up or says KindBusy when somebody else is about to: then that
// one is asked. A daemon that is about to end is waited for.
func (c *Client) MountOrStart(ctx context.Context, req MountRequest, start func(context.Context) error) (MountReply, error) {
	ctx, cancel := context.WithTimeout(ctx, mountWait)
	defer cancel()
	answer, started, err := orStart(ctx, func() (MountReply, error) { return c.Mount(ctx, req) }, start)
	if err != nil && started && ctx.Err() != nil {
		// The token is of no mount: the daemon only learns that no first one comes.
		c.cancel(context.WithoutCancel(ctx), UnmountRequest{Dir: req.Dir, Cancel: rand.Text()})
	}
	return answer, err
}

// orStart calls ask, and start while ask says ErrNoDaemon; started tells whether it
// did. What it waits for, other than ask itself, takes mountWait at most.
func orStart[T any](ctx context.Context, ask func() (T, error), start func(context.Context) error) (answer T, started bool, err error) {
	var busySince time.Time
	try := func() (T, error) {
		answer, err := ask()
		if err == errClosing {
			return answer, err
		}
		if !errors.Is(err, ErrNoDaemon) {
			return answer, permanent(err)
		}
		started = true
		err = start(ctx)
		switch {
		case err == nil:
			busySince = time.Time{}
			return answer, ErrNoDaemon // ask it
		case manifest.KindOf(err) != manifest.KindBusy:
			return answer, backoff.Permanent(err)
		case busySince.IsZero():
			busySince = time.Now()
		case time.Since(busySince) > busyWait:
			return answer, backoff.Permanent(err)
		}
		return answer, err
	}
	pauses := &backoff.ExponentialBackOff{InitialInterval: 10 * time.Millisecond, Multiplier: 1.5, RandomizationFactor: 0.5, MaxInterval: time.Second}
	answer, err = backoff.Retry(ctx, try, backoff.WithBackOff(pauses), backoff.WithMaxElapsedTime(mountWait))
	return answer, started, err
}

func permanent(err error) error {
	if err == nil {
		return nil
	}
	return backoff.Permanent(err)
}

// awaitEnd waits until a process has ended, a while at most.
func awaitEnd(ctx context.Context, pid int) {
	ctx, cancel := context.WithTimeout(ctx, endWait)
	defer cancel()
	for running(pid) {
		select {
		case <-ctx.Done():
			return
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// running tells whether a process is there and does something: one that its
// parent has not yet asked for does not.
func running(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return false
	}
	_, rest, ok := bytes.Cut(stat, []byte(") ")) // state follows the name; proc_pid_stat(5)
	return ok && len(rest) > 0 && rest[0] != 'Z' && rest[0] != 'X'
}
