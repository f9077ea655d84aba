package owner_test

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/pinfs/pinfs/daemon/owner"
)

const patience = 30 * time.Second

func timeout() (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.Background(), patience)
}

func ok(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// run is a Run, in this process, whose workers do what the test says.
type run struct {
	t      *testing.T
	l      *net.UnixListener
	cancel context.CancelFunc
	done   chan struct{}
	err    error // after done

	readyWait atomic.Int64
	mu        sync.Mutex // guards below
	pauses    []time.Duration
	hold      bool // pauses until the owner is told to end
}

// start starts an owner, whose time stands still.
func start(t *testing.T, change func(*owner.Options)) *run {
	t.Helper()
	path := t.TempDir() + "/s"
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	ok(t, err)
	t.Cleanup(func() { l.Close() })
	ctx, cancel := context.WithCancel(context.Background())
	r := &run{t: t, l: l, cancel: cancel, done: make(chan struct{})}
	r.readyWait.Store(int64(time.Hour))
	epoch := time.Now()
	o := owner.Options{Args: []string{"worker"}, Env: append(os.Environ(), workerEnv+"="+path, "GORACE=atexit_sleep_ms=0"), Stderr: os.Stderr}
	if change != nil {
		change(&o)
	}
	o = o.WithClock(owner.Clock{Now: func() time.Time { return epoch }, Pause: r.pause, StopWait: 50 * time.Millisecond,
		ReadyWait: func() time.Duration { return time.Duration(r.readyWait.Load()) }})
	go func() { defer close(r.done); r.err = owner.Run(ctx, o) }()
	t.Cleanup(func() {
		cancel()
		select {
		case <-r.done:
		case <-time.After(patience):
			t.Error("the owner does not end")
		}
	})
	return r
}

// pause takes note of a pause, and does not make it.
func (r *run) pause(ctx context.Context, d time.Duration) {
	r.mu.Lock()
	r.pauses = append(r.pauses, d)
	hold := r.hold
	r.mu.Unlock()
	if hold {
		<-ctx.Done()
	}
}

// awaitPauses returns when there were n.
func (r *run) awaitPauses(n int) {
	r.t.Helper()
	for until := time.Now().Add(patience); len(r.paused()) < n; time.Sleep(time.Millisecond) {
		if time.Now().After(until) {
			r.t.Fatalf("%d pauses, want %d", len(r.paused()), n)
		}
	}
}

func (r *run) paused() []time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]time.Duration{}, r.pauses...)
}

// end waits for the end of Run.
func (r *run) end() error {
	r.t.Helper()
	select {
	case <-r.done:
	case <-time.After(patience):
		r.t.Fatal("the owner does not end")
	}
	return r.err
}

// wantCode waits for the end of Run, by a worker that ended so.
func (r *run) wantCode(code int) error {
	r.t.Helper()
	err := r.end()
	var exit *owner.ExitError
	if !errors.As(err, &exit) || exit.Code != code {
		r.t.Errorf("ended with %v, want a worker's code %d", err, code)
	}
	return err
}

// told is a worker that does what it is told.
type told struct {
	hello
	t    *testing.T
	conn net.Conn
	in   *json.Decoder
}

// next waits for the next worker.
func (r *run) next() *told {
	r.t.Helper()
	ok(r.t, r.l.SetDeadline(time.Now().Add(patience)))
	conn, err := r.l.Accept()
	if err != nil {
		select {
		case <-r.done:
			r.t.Fatalf("no worker: the owner has ended: %v", r.err)
		default:
			r.t.Fatal(err)
		}
	}
	r.t.Cleanup(func() { conn.Close() })
	w := &told{t: r.t, conn: conn, in: json.NewDecoder(conn)}
	ok(r.t, conn.SetDeadline(time.Now().Add(patience)))
	ok(r.t, w.in.Decode(&w.hello))
	return w
}

// survivor is ready with the first worker that lives that long.
func (r *run) survivor() *told {
	r.t.Helper()
	for until := time.Now().Add(patience); time.Now().Before(until); {
		ok(r.t, r.l.SetDeadline(until))
		conn, err := r.l.Accept()
		ok(r.t, err)
		r.t.Cleanup(func() { conn.Close() })
		w := &told{t: r.t, conn: conn, in: json.NewDecoder(conn)}
		ok(r.t, conn.SetDeadline(until))
		var answer string
		if w.in.Decode(&w.hello) == nil && json.NewEncoder(conn).Encode(order{Do: "ready"}) == nil && w.in.Decode(&answer) == nil {
			return w
		}
	}
	r.t.Fatal("no worker survives")
	return nil
}

// ready waits for the next worker and has it say that it is ready, and be heard.
func (r *run) ready() *told {
	r.t.Helper()
	w := r.next()
	w.do(order{Do: "ready"})
	w.do(order{Do: "barrier"})
	return w
}

// send gives an order whose answer never comes.
func (w *told) send(o order) {
	w.t.Helper()
	ok(w.t, w.conn.SetDeadline(time.Now().Add(patience)))
	ok(w.t, json.NewEncoder(w.conn).Encode(o))
}

func (w *told) do(o order) {
	w.t.Helper()
	w.send(o)
	var answer string
	ok(w.t, w.in.Decode(&answer))
	if answer != "" {
		w.t.Fatalf("%+v: %s", o, answer)
	}
}

func (w *told) exit(code int) { w.t.Helper(); w.send(order{Do: "exit", N: code}) }

func (w *told) kill() { w.t.Helper(); ok(w.t, unix.Kill(w.PID, unix.SIGKILL)) }

// descriptors counts those of this process.
func descriptors(t testing.TB) int {
	t.Helper()
	all, err := os.ReadDir("/proc/self/fd")
	ok(t, err)
	return len(all)
}
