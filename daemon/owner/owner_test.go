package owner_test

import (
	"fmt"
	"io"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/pinfs/pinfs/daemon/owner"
	"github.com/pinfs/pinfs/manifest"
)

// TestDescriptorsOutliveWorkers: in the order of Put, by name, what they were; two may
// have one name, and nobody has more.
func TestDescriptorsOutliveWorkers(t *testing.T) {
	inherited, err := unix.Dup(0) // by whatever the owner starts
	ok(t, err)
	defer unix.Close(inherited)
	before := descriptors(t)
	r := start(t, nil)
	w := r.ready()
	if len(w.Names) > 0 || w.FDs > 0 {
		t.Errorf("the first worker got %v, %d descriptors", w.Names, w.FDs)
	}
	for i, name := range []string{"b", "a", "c", "a", "d"} {
		w.do(order{Do: "put", Name: name, Text: fmt.Sprint("text ", i)})
	}
	w.do(order{Do: "remove", Name: "c"})
	w.do(order{Do: "remove", Name: "nobody"})
	w.kill()
	w = r.ready()
	if want := []string{"b", "a", "a", "d"}; !reflect.DeepEqual(w.Names, want) {
		t.Errorf("kept are %v, want %v", w.Names, want)
	}
	if want := []string{"text 0", "text 1", "text 3", "text 4"}; !reflect.DeepEqual(w.Texts, want) {
		t.Errorf("kept are %v, want %v", w.Texts, want)
	}
	if w.FDs != 4 {
		t.Errorf("%d descriptors are inherited, want 4", w.FDs)
	}
	w.do(order{Do: "put again", Name: "b", Text: "other"}) // is dropped
	w.do(order{Do: "remove", Name: "a"})
	w.do(order{Do: "put", Name: "a", Text: "new"})
	w.kill()
	w = r.next()
	if want := []string{"b", "d", "a"}; !reflect.DeepEqual(w.Names, want) || w.Texts[2] != "new" {
		t.Errorf("kept are %v %v, want %v", w.Names, w.Texts, want)
	}
	w.exit(0)
	ok(t, r.end())
	w.conn.Close()
	if after := descriptors(t); after > before+4 { // the listener and the test's own connections
		t.Errorf("%d descriptors before, %d after", before, after)
	}
}

// TestNoEndOfFile: whoever reads from what is kept sees no end while workers die.
func TestNoEndOfFile(t *testing.T) {
	path := t.TempDir() + "/pipe"
	ok(t, unix.Mkfifo(path, 0o600))
	pipe, err := os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK, 0)
	ok(t, err)
	defer pipe.Close()
	read := func(wait time.Duration) (string, error) {
		ok(t, pipe.SetReadDeadline(time.Now().Add(wait)))
		text := make([]byte, 100)
		n, err := pipe.Read(text)
		return string(text[:n]), err
	}
	r := start(t, nil)
	w := r.ready()
	w.do(order{Do: "put pipe", Name: "pipe", Text: path})
	w.kill()
	for i := range 5 {
		w = r.ready()
		if text, err := read(time.Millisecond); !os.IsTimeout(err) {
			t.Fatalf("after %d deaths: read %q, %v", i+1, text, err)
		}
		w.do(order{Do: "write", Name: "pipe", Text: fmt.Sprint("from ", i)})
		if text, err := read(patience); err != nil || text != fmt.Sprint("from ", i) {
			t.Fatalf("read %q, %v", text, err)
		}
		w.kill()
	}
	r.ready().exit(0)
	ok(t, r.end())
	if text, err := read(patience); err != io.EOF {
		t.Errorf("after the end of all: read %q, %v", text, err)
	}
}

// TestOneFileOpenedTwice: what has one inode, as all /dev/fuse have, is not the same.
func TestOneFileOpenedTwice(t *testing.T) {
	r := start(t, nil)
	w := r.ready()
	for _, name := range []string{"a", "b"} {
		w.do(order{Do: "put pipe", Name: name, Text: "/dev/null"})
	}
	w.kill()
	w = r.ready()
	if len(w.Names) != 2 {
		t.Errorf("kept are %v", w.Names)
	}
	w.do(order{Do: "put again", Name: "a", Text: "c"})
	w.kill()
	if w = r.ready(); len(w.Names) != 2 {
		t.Errorf("with a duplicate kept are %v", w.Names)
	}
}

// TestManyKills: what is kept is the same after 200, and nothing is left of them.
func TestManyKills(t *testing.T) {
	n := 200
	if testing.Short() {
		n = 40
	}
	r := start(t, nil)
	w := r.ready()
	for i := range 20 {
		w.do(order{Do: "put", Name: fmt.Sprint("name", i), Text: fmt.Sprint("text", i)})
	}
	first := 0
	for i := range n {
		w.kill()
		w.conn.Close()
		w = r.ready()
		if len(w.Names) != 20 || w.Names[19] != "name19" || w.Texts[0] != "text0" || w.FDs != 20 {
			t.Fatalf("after %d kills: %d kept: %v %v", i+1, len(w.Names), w.Names, w.Texts)
		}
		switch now := descriptors(t); {
		case i == 0:
			first = now
		case now != first:
			t.Fatalf("after %d kills: %d descriptors, %d after one", i+1, now, first)
		}
	}
}

// TestAllThatWasSentIsRead: also what was in the socket when its sender died.
func TestAllThatWasSentIsRead(t *testing.T) {
	r := start(t, nil)
	w := r.ready()
	for i := range 20 {
		w.send(order{Do: "put and die", Name: fmt.Sprint("round ", i, " "), N: 30})
		if w = r.ready(); len(w.Names) != 30*(i+1) {
			t.Fatalf("after %d deaths %d are kept, want %d", i+1, len(w.Names), 30*(i+1))
		}
	}
}

// TestWorker: what a worker is given, and by whom.
func TestWorker(t *testing.T) {
	t.Setenv("WATCHDOG_USEC", "1000000")
	t.Setenv("LISTEN_FDS", "1")
	t.Setenv("LISTEN_FDNAMES", "other")
	t.Setenv("NOTIFY_SOCKET", "/other")
	log, err := os.CreateTemp(t.TempDir(), "")
	ok(t, err)
	t.Cleanup(func() { log.Close() })
	told, ready, err := os.Pipe()
	ok(t, err)
	defer told.Close()
	r := start(t, func(o *owner.Options) {
		o.Env = append(o.Env, "OWNER_TEST_ENV=given")
		o.Dir, o.Ready, o.Stdout, o.Stderr = "/", ready, log, log
	})
	w := r.ready()
	if w.Env != "given" || w.Dir != "/" || !w.Alone || w.Ready != "3" || w.FDs != 1 || !strings.HasPrefix(w.Socket, "@") {
		t.Errorf("the first worker found %+v", w.hello)
	}
	w.do(order{Do: "put", Name: "a"})
	w.kill()
	w = r.ready()
	if w.Ready != "" || w.FDs != 1 || len(w.Names) != 1 {
		t.Errorf("the second worker found %+v", w.hello)
	}
	if err := told.SetReadDeadline(time.Now().Add(patience)); err != nil {
		t.Error(err)
	}
	if n, err := told.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("somebody still has the first worker's descriptor: %d, %v", n, err)
	}
}

// TestReadyDescriptor: the first worker tells whoever waits for it.
func TestReadyDescriptor(t *testing.T) {
	answer, ready, err := os.Pipe()
	ok(t, err)
	defer answer.Close()
	r := start(t, func(o *owner.Options) { o.Ready = ready })
	w := r.ready()
	w.do(order{Do: "tell", Text: "here"})
	text := make([]byte, 10)
	ok(t, answer.SetReadDeadline(time.Now().Add(patience)))
	if n, err := answer.Read(text); err != nil || string(text[:n]) != "here" {
		t.Errorf("told %q, %v", text[:n], err)
	}
}

// TestEnds: what ends Run, and how.
func TestEnds(t *testing.T) {
	t.Run("before ready", func(t *testing.T) {
		for _, code := range []int{4, owner.Again} {
			r := start(t, nil)
			w := r.next()
			w.do(order{Do: "put", Name: "a"})
			w.exit(code)
			r.wantCode(code)
		}
		r := start(t, nil)
		r.next().kill()
		err := r.wantCode(128 + 9)
		if !strings.Contains(err.Error(), "killed") {
			t.Errorf("no word of the signal: %v", err)
		}
	})
	t.Run("with 0", func(t *testing.T) {
		r := start(t, nil)
		w := r.ready()
		w.do(order{Do: "put", Name: "a"})
		w.do(order{Do: "stopping"})
		w.exit(0)
		ok(t, r.end())
	})
	t.Run("with nothing kept", func(t *testing.T) {
		r := start(t, nil)
		w := r.ready()
		w.do(order{Do: "put", Name: "a"})
		w.do(order{Do: "remove", Name: "a"})
		w.kill()
		if err := r.wantCode(128 + 9); !strings.Contains(err.Error(), "nothing to go on with") {
			t.Errorf("got %v", err)
		}
	})
}

// TestToldToEnd: the worker is told, and not waited for for ever.
func TestToldToEnd(t *testing.T) {
	for _, c := range []struct {
		do   order
		code int
	}{{order{Do: "obey", N: 0}, 0}, {order{Do: "obey", N: 3}, 3}, {order{Do: "ignore"}, 128 + 9}, {order{Do: "put", Name: "a"}, 128 + 15}} {
		r := start(t, nil)
		w := r.ready()
		w.do(c.do)
		r.cancel()
		if c.code == 0 {
			ok(t, r.end())
		} else {
			r.wantCode(c.code)
		}
		if p := r.paused(); len(p) > 0 {
			t.Errorf("told to %s, it was to start another one", c.do.Do)
		}
	}
}

// TestNotReadyInTime: a later worker that doesn't get ready is killed, and another one
// is started.
func TestNotReadyInTime(t *testing.T) {
	r := start(t, nil)
	w := r.ready()
	w.do(order{Do: "put", Name: "a"})
	r.readyWait.Store(int64(time.Millisecond))
	w.kill()
	r.awaitPauses(3) // one is for the kill
	r.readyWait.Store(int64(time.Hour))
	if w := r.survivor(); len(w.Names) != 1 {
		t.Errorf("kept are %v", w.Names)
	}
}

// TestReadyInTime: a worker that is ready may live for longer than that may take.
func TestReadyInTime(t *testing.T) {
	r := start(t, nil)
	w := r.ready()
	w.do(order{Do: "put", Name: "a"})
	r.readyWait.Store(int64(time.Second))
	w.kill()
	w = r.survivor()
	<-time.After(1100 * time.Millisecond)
	w.do(order{Do: "barrier"})
}

// TestPauses: the first ends cost nothing, then each pause is longer; a planned end
// never costs any.
func TestPauses(t *testing.T) {
	r := start(t, nil)
	w := r.ready()
	w.do(order{Do: "put", Name: "a"})
	for range 12 {
		w.exit(owner.Again)
		w = r.ready()
	}
	if p := r.paused(); len(p) > 0 {
		t.Errorf("pauses for planned ends: %v", p)
	}
	isReady := true
	for i := range 18 {
		switch {
		case !isReady: // who asks for it before that has no right to
			w.exit(owner.Again)
		case i%3 == 0:
			w.kill()
		default:
			w.exit(i)
		}
		w = r.next()
		if isReady = i%3 != 1; isReady {
			w.do(order{Do: "ready"})
		}
	}
	want := append(make([]time.Duration, 10), 100*time.Millisecond, 200*time.Millisecond, 400*time.Millisecond, 800*time.Millisecond,
		1600*time.Millisecond, 3200*time.Millisecond, 5*time.Second, 5*time.Second)
	if got := r.paused(); !slices.Equal(got, want) {
		t.Errorf("pauses %v, want %v", got, want)
	}
}

// TestGiveUp: a worker learns that those before it ended too early, until one is ready.
func TestGiveUp(t *testing.T) {
	r := start(t, nil)
	w := r.ready()
	w.do(order{Do: "put", Name: "a"})
	for round := range 2 {
		w.kill()
		for i := range 12 {
			if w = r.next(); w.GiveUp != "" {
				t.Errorf("round %d: worker %d was told %q", round, i, w.GiveUp)
			}
			w.exit(1)
		}
		for _, want := range []string{"12", "13"} {
			if w = r.next(); w.GiveUp != want {
				t.Errorf("round %d: told %q, want %s", round, w.GiveUp, want)
			}
			if want == "12" {
				w.exit(1)
			}
		}
		w.do(order{Do: "ready"})
	}
}

// TestToldToEndWhilePausing: no worker is started any more.
func TestToldToEndWhilePausing(t *testing.T) {
	r := start(t, nil)
	w := r.ready()
	w.do(order{Do: "put", Name: "a"})
	r.mu.Lock()
	r.hold = true
	r.mu.Unlock()
	w.kill()
	r.awaitPauses(1)
	r.cancel()
	if err := r.end(); manifest.KindOf(err) != manifest.KindCanceled {
		t.Errorf("got %v", err)
	}
	r.wantCode(128 + 9)
}

func TestPace(t *testing.T) {
	now := time.Now()
	pace := owner.NewPace(now)
	after := func(d time.Duration) time.Duration { now = now.Add(d); return pace(now) }
	for range 10 {
		if d := after(0); d != 0 {
			t.Fatalf("an early pause of %v", d)
		}
	}
	for _, c := range []struct{ later, want time.Duration }{
		{0, 100 * time.Millisecond}, {100 * time.Millisecond, 200 * time.Millisecond}, {1900 * time.Millisecond, 0}, {0, 400 * time.Millisecond},
		{-time.Hour, 800 * time.Millisecond}, {4 * time.Second, 0}, {0, 0}, {0, 1600 * time.Millisecond}, {time.Hour, 0},
	} {
		if got := after(c.later); got != c.want {
			t.Errorf("%v later: a pause of %v, want %v", c.later, got, c.want)
		}
	}
	for range 9 {
		after(0)
	}
	if d := after(0); d != 100*time.Millisecond {
		t.Errorf("after an hour of quiet: the first pause is %v", d)
	}
}
