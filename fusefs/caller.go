package fusefs

import (
	"bytes"
	"context"
	"errors"
	"os"
	"strconv"
	"syscall"
	"time"

	"github.com/pinfs/pinfs/manifest"
	"golang.org/x/sys/unix"
)

// callerCheck is how often a caller that got a signal is looked at again.
const callerCheck = 50 * time.Millisecond

// request gives the context of one request: it ends after timeout, with the
// mount, or when the calling thread is being killed.
//
// The kernel tells of any signal to the caller, once for each request, and not
// which. Most are harmless: Go programs send themselves SIGURG all the time, and
// EINTR from a read of a file would be taken for a failure. But a caller that is
// being killed waits for our answer without any other way out. So after the
// first signal the thread is watched, and only SIGKILL, which is what every
// deadly signal has become by then, ends the request. The end of the mount comes the
// same way.
func (f *fileSystem) request(cancel <-chan struct{}, pid uint32, timeout time.Duration) (context.Context, context.CancelFunc) {
	ctx := &requestContext{cancel: cancel, pid: pid, fs: f, deadline: time.Now().Add(timeout)}
	return ctx, ctx.stop
}

// watchCaller returns when thread pid is being killed, nobody waits any more since the
// mount has ended, or ctx is done.
func (f *fileSystem) watchCaller(ctx context.Context, pid uint32) {
	tick := time.NewTicker(callerCheck)
	defer tick.Stop()
	for !beingKilled(pid) && !f.dead() {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// dead tells whether the kernel has ended the connection. What it had asked by then
// nobody waits for, such as read-ahead; the server ends when the last of it has.
func (f *fileSystem) dead() bool {
	dead := false
	raw, err := f.line.SyscallConn()
	if err == nil {
		err = raw.Control(func(fd uintptr) {
			fds := []unix.PollFd{{Fd: int32(fd)}}
			n, err := unix.Poll(fds, 0)
			dead = err == nil && n == 1 && fds[0].Revents&unix.POLLERR != 0
		})
	}
	return dead || err != nil
}

// beingKilled tells whether SIGKILL is pending for a thread, or the thread is
// gone. A thread that can't be looked at (another pid namespace, a hidden /proc)
// counts as alive: the request's deadline still ends it.
func beingKilled(pid uint32) bool {
	if pid == 0 {
		return false
	}
	status, err := os.ReadFile("/proc/" + strconv.Itoa(int(pid)) + "/status")
	if err != nil {
		return errors.Is(err, os.ErrNotExist) || errors.Is(err, syscall.ESRCH)
	}
	_, rest, ok := bytes.Cut(status, []byte("\nSigPnd:\t"))
	if !ok {
		return false
	}
	mask, _, _ := bytes.Cut(rest, []byte("\n"))
	pending, err := strconv.ParseUint(string(mask), 16, 64)
	return err == nil && pending&(1<<(syscall.SIGKILL-1)) != 0
}

// settle puts an error of Content or Names right: what ended ctx is the cause of
// a canceled call, and a call that says so without that has failed. EINTR then
// would be wrong: many programs repeat the call for ever.
func settle(ctx context.Context, err error) error {
	if manifest.KindOf(err) != manifest.KindCanceled {
		return err
	}
	if cause := ctx.Err(); cause != nil {
		return cause
	}
	return &manifest.Error{Kind: manifest.KindOther, Op: "wait for another reader", Err: err}
}
