package owner

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/pinfs/pinfs/manifest"
)

// Again is the exit code of a worker that wants to be replaced now.
const Again = 75

// ReadyEnv is the variable with the number of Options.Ready in the first worker.
const ReadyEnv = "PINFS_READY_FD"

// GiveUpEnv is the variable with the number of workers in a row that ended before they
// were ready, when those are many: the next one should do less, so that nobody waits
// for ever.
const GiveUpEnv = "PINFS_GIVE_UP"

// giveUp is how many that are.
const giveUp = 12

const (
	readyWait = time.Minute      // for a worker to get ready
	stopWait  = 30 * time.Second // for a worker to end after SIGTERM
	killWait  = 10 * time.Second // for one to end after SIGKILL, when Run is to end
)

// Options say what an owner starts.
type Options struct {
	Program string   // a path; "" is the program of this process
	Args    []string // all of them, the program's name first
	Env     []string // nil is this process's; what the protocol needs is added
	Dir     string   // where workers run; "" is where this process does

	// Ready is passed to the first worker alone. Run closes it.
	Ready *os.File
	// Stdout and Stderr are those of the workers; nil is /dev/null.
	Stdout, Stderr *os.File
	Logger         *slog.Logger // nil logs nothing

	clock clock
}

// clock is time, as far as the life of workers depends on it.
type clock struct {
	now                func() time.Time
	pause              func(ctx context.Context, d time.Duration)
	readyWait          func() time.Duration
	stopWait, killWait time.Duration
}

// ExitError is the end of a worker, as Run ends with it.
type ExitError struct {
	Code int // as a shell has it: 128 and the signal of a worker that one ended
}

// Error says how the worker ended.
func (e *ExitError) Error() string {
	if e.Code > signalCode {
		return fmt.Sprintf("the worker was ended by a signal: %v", syscall.Signal(e.Code-signalCode))
	}
	return fmt.Sprintf("the worker ended with code %d", e.Code)
}

// signalCode is what a shell adds to the number of a signal.
const signalCode = 128

// firstOther is the first descriptor beyond input, output and errors.
const firstOther = 3

// owner is one Run.
type owner struct {
	Options
	null     *os.File
	socket   *socket
	kept     kept
	programs programs
	pace     *pace

	first     bool // the next worker is the first one
	everReady bool
	unready   int // workers in a row that ended before they were ready
}

// Run starts workers until one ends for good, see the package. An *ExitError is in the
// chain of an error that a worker's end caused.
func Run(ctx context.Context, o Options) error {
	w, err := newOwner(o)
	if err != nil {
		return &manifest.Error{Op: "start owner", Err: err}
	}
	defer w.close()
	for {
		end := w.once(ctx)
		again, err := w.decide(ctx, end)
		if !again {
			return err
		}
	}
}

func newOwner(o Options) (*owner, error) {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.clock.now == nil {
		o.clock = clock{now: time.Now, pause: pause, stopWait: stopWait, killWait: killWait,
			readyWait: func() time.Duration { return readyWait }}
	}
	// What this process inherited is for nobody else: somebody may wait for its end.
	_ = unix.CloseRange(firstOther, ^uint(0)>>1, unix.CLOSE_RANGE_CLOEXEC) // before Linux 5.11 it is passed on
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return nil, errors.Join(err, closeFile(o.Ready))
	}
	s, err := listen()
	if err != nil {
		null.Close()
		return nil, errors.Join(err, closeFile(o.Ready))
	}
	return &owner{Options: o, null: null, socket: s, programs: newPrograms(o.Program), pace: newPace(o.clock.now()), first: true}, nil
}

// close frees all that Run held.
func (o *owner) close() {
	o.socket.close()
	o.kept.close()
	o.null.Close()
	_ = closeFile(o.Ready)
}

func closeFile(f *os.File) error {
	if f == nil {
		return nil
	}
	if err := f.Close(); !errors.Is(err, os.ErrClosed) {
		return err
	}
	return nil
}

// decide says whether another worker is to be started, and waits until it may be.
func (o *owner) decide(ctx context.Context, e ending) (again bool, err error) {
	if e.err == nil && e.code == 0 {
		return false, nil
	}
	if e.err == nil {
		e.err = &ExitError{Code: e.code}
	}
	log := o.Logger.With("why", e.err, "kept", len(o.kept.all))
	switch {
	case ctx.Err() != nil || !o.everReady:
		return false, &manifest.Error{Op: "run worker", Err: e.err}
	case e.code == Again && e.ready:
		log.Info("the worker is replaced")
		return true, nil
	case len(o.kept.all) == 0:
		return false, &manifest.Error{Op: "run worker", Msg: "it left nothing to go on with", Err: e.err}
	}
	d := o.pace.pause(o.clock.now())
	log.Warn("the worker ended, another one is started", "pause", d)
	o.clock.pause(ctx, d)
	if ctx.Err() != nil {
		return false, &manifest.Error{Kind: manifest.KindCanceled, Op: "run worker", Msg: "told to end while none ran", Err: e.err}
	}
	return true, nil
}

// pause waits for d, or for ctx.
func pause(ctx context.Context, d time.Duration) {
	if d <= 0 {
		return
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}
