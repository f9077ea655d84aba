package fdstore_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/pinfs/pinfs/daemon/fdstore"
	"github.com/pinfs/pinfs/manifest"
)

// keeper reads what is sent.
type keeper struct {
	t    testing.TB
	addr string
	conn *net.UnixConn
}

func socketPath(t testing.TB) string { return t.TempDir() + "/notify" }

func listen(t testing.TB, addr string) *keeper {
	t.Helper()
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: addr, Net: "unixgram"})
	ok(t, err)
	t.Cleanup(func() { conn.Close() })
	return &keeper{t, addr, conn}
}

// next gives the next message and what came beside it.
func (k *keeper) next() (string, []*os.File) {
	k.t.Helper()
	ok(k.t, k.conn.SetReadDeadline(time.Now().Add(10*time.Second)))
	text, oob := make([]byte, 4096), make([]byte, 256)
	n, m, _, _, err := k.conn.ReadMsgUnix(text, oob)
	ok(k.t, err)
	messages, err := unix.ParseSocketControlMessage(oob[:m])
	ok(k.t, err)
	var files []*os.File
	for _, one := range messages {
		fds, err := unix.ParseUnixRights(&one)
		ok(k.t, err)
		for _, fd := range fds {
			files = append(files, os.NewFile(uintptr(fd), "got"))
		}
	}
	return string(text[:n]), files
}

// none says that nothing was sent.
func (k *keeper) none() {
	k.t.Helper()
	ok(k.t, k.conn.SetReadDeadline(time.Now().Add(10*time.Millisecond)))
	if n, err := k.conn.Read(make([]byte, 1)); err == nil {
		k.t.Errorf("a message of %d bytes or more was sent", n)
	}
}

// store opens the store whose messages k reads.
func (k *keeper) store() *fdstore.Store {
	k.t.Helper()
	for name, value := range map[string]string{"NOTIFY_SOCKET": k.addr, "LISTEN_FDS": "", "LISTEN_PID": ""} {
		k.t.(*testing.T).Setenv(name, value)
	}
	s, kept, err := fdstore.Open()
	ok(k.t, err)
	if s == nil || len(kept) > 0 {
		k.t.Fatalf("opened %v, %v", s, kept)
	}
	return s
}

func TestMessages(t *testing.T) {
	for _, addr := range []string{socketPath(t), fmt.Sprintf("@pinfs-test-%d", os.Getpid())} {
		k := listen(t, addr)
		s, f := k.store(), memory(t, "content")
		for _, c := range []struct {
			send func() error
			want string
		}{
			{func() error { return s.Put("name 1~", f) }, "FDSTORE=1\nFDNAME=name 1~\nFDPOLL=0"},
			{func() error { return s.Remove("name 1~") }, "FDSTOREREMOVE=1\nFDNAME=name 1~"},
			{func() error { return s.Ready("2 mounts\nFDSTORE=1") }, "READY=1\nSTATUS=2 mounts FDSTORE=1"},
			{s.Stopping, "STOPPING=1"},
			{func() error { return s.Program("/usr/bin/pinfs") }, "X_PINFS_PROGRAM=/usr/bin/pinfs"},
		} {
			ok(t, c.send())
			got, files := k.next()
			if got != c.want {
				t.Errorf("sent %q, want %q", got, c.want)
			}
			if with := strings.HasPrefix(c.want, "FDSTORE=1"); len(files) != 0 != with {
				t.Errorf("%q came with %d descriptors", got, len(files))
			}
			for _, g := range files {
				text := make([]byte, 7)
				if _, err := g.ReadAt(text, 0); err != nil || string(text) != "content" {
					t.Errorf("the descriptor has %q, %v", text, err)
				}
				g.Close()
			}
		}
	}
}

func TestBadNamesAreNotSent(t *testing.T) {
	k := listen(t, socketPath(t))
	s, f := k.store(), memory(t, "")
	for _, name := range []string{"", "a:b", "a\nFDSTORE=1", "ä", "\x7f", strings.Repeat("n", fdstore.MaxName+1)} {
		for _, err := range []error{s.Put(name, f), s.Remove(name)} {
			if manifest.KindOf(err) != manifest.KindInvalid || strings.Contains(err.Error(), "\n") {
				t.Errorf("%q: %v", name, err)
			}
		}
	}
	for _, path := range []string{"", "pinfs", "/bin/pinfs\nREADY=1"} {
		if err := s.Program(path); manifest.KindOf(err) != manifest.KindInvalid {
			t.Errorf("program %q: %v", path, err)
		}
	}
	k.none()
	f.Close()
	if err := s.Put("closed", f); err == nil {
		t.Error("a closed file was put")
	}
	k.none()
}

func TestNobodyKeeps(t *testing.T) {
	var s *fdstore.Store
	s.Watchdog(t.Context(), func() bool { t.Error("asked"); return true })
	if err := errors.Join(s.Put("", nil), s.Remove(""), s.Ready(""), s.Stopping(), s.Program(""), s.Barrier(t.Context())); err != nil {
		t.Error(err)
	}
}

// TestFullSocket: who doesn't read is waited for, but not for ever.
func TestFullSocket(t *testing.T) {
	k := listen(t, socketPath(t))
	s := k.store()
	s.SetSendWait(20 * time.Millisecond)
	sent := 0
	var err error
	for ; err == nil; sent++ {
		if sent > 10000 {
			t.Fatal("the socket is never full")
		}
		err = s.Stopping()
	}
	if manifest.KindOf(err) != manifest.KindTimeout {
		t.Errorf("got %v, want a timeout", err)
	}
	s.SetSendWait(10 * time.Second)
	late := make(chan error, 1)
	go func() { late <- s.Remove("late") }()
	for range sent - 1 {
		k.next()
	}
	ok(t, <-late)
	if got, _ := k.next(); got != "FDSTOREREMOVE=1\nFDNAME=late" {
		t.Errorf("got %q", got)
	}
	k.none()
}

func TestBarrier(t *testing.T) {
	k := listen(t, socketPath(t))
	s := k.store()
	ok(t, s.Stopping())
	done := make(chan error, 1)
	go func() { done <- s.Barrier(t.Context()) }()
	k.next()
	got, files := k.next()
	if got != "BARRIER=1" || len(files) != 1 {
		t.Fatalf("sent %q with %d descriptors", got, len(files))
	}
	select {
	case err := <-done:
		t.Errorf("back while the descriptor is open: %v", err)
	case <-time.After(10 * time.Millisecond):
	}
	files[0].Close()
	ok(t, <-done)

	ctx, cancel := context.WithCancel(t.Context())
	go func() { done <- s.Barrier(ctx) }()
	_, files = k.next()
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want canceled", err)
	}
	files[0].Close()
}

func TestWatchdog(t *testing.T) {
	k := listen(t, socketPath(t))
	t.Setenv("WATCHDOG_USEC", "2000")
	s := k.store()
	ctx, cancel := context.WithCancel(t.Context())
	asked := 0
	s.Watchdog(ctx, func() bool { // until it was asked six times
		asked++
		if asked == 6 {
			cancel()
		}
		return asked <= 3
	})
	for range 3 {
		if got, _ := k.next(); got != "WATCHDOG=1" {
			t.Errorf("got %q", got)
		}
	}
	k.none()
	k.store().Watchdog(t.Context(), func() bool { t.Error("asked, and nobody wants it"); return true })
}

// TestKeeperIsGone: a new one at the same path is found, but whoever takes an
// abstract name gets nothing.
func TestKeeperIsGone(t *testing.T) {
	for _, addr := range []string{socketPath(t), fmt.Sprintf("@pinfs-test-%d", os.Getpid())} {
		first := listen(t, addr)
		s := first.store()
		ok(t, s.Stopping())
		ok(t, first.conn.Close())
		for range 2 {
			if err := s.Stopping(); err == nil || !strings.Contains(err.Error(), "is gone") {
				t.Errorf("%s: got %v", addr, err)
			}
		}
		if addr[0] == '/' {
			ok(t, os.Remove(addr))
		}
		second := listen(t, addr)
		err := s.Put("name", memory(t, ""))
		if addr[0] == '@' {
			if err == nil || !strings.Contains(err.Error(), "is gone") {
				t.Errorf("%s: got %v", addr, err)
			}
			second.none()
			continue
		}
		ok(t, err)
		_, files := second.next()
		for _, f := range files {
			f.Close()
		}
	}
}
