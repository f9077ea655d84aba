package owner_test

import (
	"os"
	"reflect"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/pinfs/pinfs/daemon/owner"
)

// send sends a message with n new files to a socket, from a thread of the user uid.
func send(t *testing.T, socket, text string, n int, uid uintptr) {
	t.Helper()
	files := make([]int, n)
	for i := range files {
		fd, err := unix.MemfdCreate("sent", unix.MFD_CLOEXEC)
		ok(t, err)
		defer unix.Close(fd)
		files[i] = fd
	}
	failed := make(chan error)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread ends
		_, _, errno := unix.RawSyscall(unix.SYS_SETRESUID, uid, uid, uid)
		if errno != 0 {
			failed <- errno
			return
		}
		fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
		if err == nil {
			err = unix.Sendmsg(fd, []byte(text), unix.UnixRights(files...), &unix.SockaddrUnix{Name: socket}, 0)
			unix.Close(fd)
		}
		failed <- err
	}()
	if err := <-failed; err != nil {
		t.Fatalf("send as user %d: %v (these tests need root)", uid, err)
	}
}

// TestWhoMayAsk: the worker, and others of its user.
func TestWhoMayAsk(t *testing.T) {
	r := start(t, nil)
	w := r.next()
	w.do(order{Do: "barrier"}) // the owner is done with the start
	before := descriptors(t)
	const stranger = 65534
	send(t, w.Socket, "FDSTORE=1\nFDNAME=strange", 1, stranger)
	send(t, w.Socket, "X_PINFS_PROGRAM=/bin/false", 0, stranger)
	send(t, w.Socket, "READY=1", 0, stranger)
	w.do(order{Do: "barrier"})
	if after := descriptors(t); after != before {
		t.Errorf("%d descriptors before, %d after messages of strangers", before, after)
	}
	send(t, w.Socket, "FDSTORE=1\nFDNAME=ours", 2, uintptr(os.Getuid()))
	w.do(order{Do: "ready"})
	send(t, w.Socket, "FDSTOREREMOVE=1\nFDNAME=ours", 0, stranger)
	w.kill()
	if w = r.ready(); !reflect.DeepEqual(w.Names, []string{"ours", "ours"}) {
		t.Errorf("kept are %v", w.Names)
	}
}

// TestStrangersReady: a stranger can't say that a worker is ready.
func TestStrangersReady(t *testing.T) {
	r := start(t, nil)
	w := r.next()
	send(t, w.Socket, "READY=1", 0, 65534)
	w.do(order{Do: "barrier"})
	w.exit(5)
	r.wantCode(5)
}

// TestNonsense: messages that are none change nothing, and leave no descriptor.
func TestNonsense(t *testing.T) {
	r := start(t, nil)
	w := r.ready()
	w.do(order{Do: "put", Name: "stays"})
	w.do(order{Do: "barrier"})
	before, uid := descriptors(t), uintptr(os.Getuid())
	for text, n := range map[string]int{
		"":                       1,
		"\x00FDSTORE=1":          1,
		"FDSTORE=0":              1,
		"FDSTORE=1\nFDNAME=many": owner.MaxFDs + 1,
		"FDSTORE=1\n" + strings.Repeat("x", 4096): 1,
		"FDSTOREREMOVE=1":                         0,
		"FDSTOREREMOVE=1\nFDNAME=":                1,
		"X_PINFS_PROGRAM=relative":                0,
		"FDSTORE=1\nFDNAME=empty":                 0,
		"STATUS=hello\nUNKNOWN=1\n\n=\n==":        3,
		"BARRIER=1":                               owner.MaxFDs,
	} {
		send(t, w.Socket, text, n, uid)
	}
	w.do(order{Do: "barrier"})
	if after := descriptors(t); after != before {
		t.Errorf("%d descriptors before, %d after", before, after)
	}
	send(t, w.Socket, "FDSTORE=1\nFDNAME=a:b", owner.MaxFDs, uid) // no name that may be
	w.kill()
	w = r.ready()
	if len(w.Names) != 1+owner.MaxFDs || w.Names[0] != "stays" || w.Names[1] != "stored" {
		t.Errorf("kept are %v", w.Names)
	}
}

// TestBounds: there is an end to what is kept, and what is kept can be passed on.
func TestBounds(t *testing.T) {
	r := start(t, nil)
	w := r.ready()
	w.do(order{Do: "put many", Name: "a name of some length", N: owner.MaxKept + 10})
	w.kill()
	w = r.ready()
	if len(w.Names) != owner.MaxKept || w.FDs != owner.MaxKept {
		t.Errorf("%d names and %d descriptors are kept, want %d", len(w.Names), w.FDs, owner.MaxKept)
	}
	w.exit(0)
	ok(t, r.end())

	r = start(t, nil)
	w = r.ready()
	long := strings.Repeat("n", 250)
	w.do(order{Do: "put many", Name: long, N: 1000})
	w.kill()
	w = r.ready()
	if n := len(strings.Join(w.Names, ":")); n > owner.MaxNames || n < owner.MaxNames-300 {
		t.Errorf("%d names of %d bytes together, want %d", len(w.Names), n, owner.MaxNames)
	}
}

func TestParse(t *testing.T) {
	for text, want := range map[string]map[string]string{
		"":                  {},
		"A=1":               {"A": "1"},
		"A=1\n":             {"A": "1"},
		"A=1\nB=\n\nC":      {"A": "1", "B": ""},
		"A=b=c\nA=2":        {"A": "2"},
		"A=1\x00":           {},
		"READY=1\nSTATUS= ": {"READY": "1", "STATUS": " "},
	} {
		if got := owner.Parse(text); !reflect.DeepEqual(got, want) {
			t.Errorf("%q: got %v, want %v", text, got, want)
		}
	}
}
