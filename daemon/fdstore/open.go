package fdstore

import (
	"net"
	"os"
	"strconv"

	"github.com/coreos/go-systemd/v22/activation"
	"github.com/coreos/go-systemd/v22/daemon"
	"golang.org/x/sys/unix"

	"github.com/pinfs/pinfs/manifest"
)

const (
	socketEnv = "NOTIFY_SOCKET"
	pidEnv    = "LISTEN_PID"
	countEnv  = "LISTEN_FDS"
	// firstFD is where what is kept begins.
	firstFD = 3
	// maxFDs bounds LISTEN_FDS: no keeper has so many.
	maxFDs = 1 << 16
)

// Open reads from the environment where descriptors can be kept, and which ones are
// kept already, by name. It is called once, early: it takes what it finds away, so
// that no child sees it, and until then the descriptors are inherited.
//
// s is nil when nobody keeps descriptors. kept may have some all the same. On an
// error they are closed; whoever keeps them still does.
func Open() (s *Store, kept map[string][]*os.File, err error) {
	kept, err = files() // first: what is opened now has a number that is not theirs
	s, wrong := open()
	if err == nil {
		err = wrong
	}
	if err == nil {
		return s, kept, nil
	}
	closeAll(kept)
	if s != nil {
		s.conn.Close()
	}
	return nil, nil, err
}

// open connects to the socket, if there is one.
func open() (*Store, error) {
	name := os.Getenv(socketEnv)
	os.Unsetenv(socketEnv)
	every, err := daemon.SdWatchdogEnabled(true)
	switch {
	case err != nil:
		return nil, &manifest.Error{Kind: manifest.KindInvalid, Op: "read environment", Ref: "WATCHDOG_USEC", Err: err}
	case name == "":
		return nil, nil
	case name[0] != '/' && name[0] != '@':
		return nil, &manifest.Error{Kind: manifest.KindUnsupported, Op: "read environment", Ref: socketEnv, Msg: "neither a path nor an abstract socket: " + oneLine(name)}
	}
	s := &Store{addr: net.UnixAddr{Name: name, Net: "unixgram"}, watchdog: every, wait: sendWait}
	if s.conn, err = s.dial(); err != nil {
		return nil, &manifest.Error{Kind: manifest.KindUnreachable, Op: "connect", Ref: oneLine(name), Msg: "whoever keeps descriptors can't be reached", Err: err}
	}
	return s, nil
}

// files takes over what is kept, if it is meant for this process.
func files() (map[string][]*os.File, error) {
	defer forget()
	pid, text := os.Getenv(pidEnv), os.Getenv(countEnv)
	if text == "" || pid != "" && pid != strconv.Itoa(os.Getpid()) {
		return nil, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 0 || n > maxFDs {
		return nil, &manifest.Error{Kind: manifest.KindInvalid, Op: "read environment", Ref: countEnv, Msg: "not a number of descriptors: " + oneLine(text)}
	}
	for fd := firstFD; fd < firstFD+n; fd++ {
		if _, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err != nil {
			return nil, &manifest.Error{Kind: manifest.KindInvalid, Op: "take kept descriptors", Ref: strconv.Itoa(fd), Msg: countEnv + " says it is there", Err: err}
		}
	}
	if err := os.Setenv(pidEnv, strconv.Itoa(os.Getpid())); err != nil { // which an owner can't know
		return nil, err
	}
	return activation.FilesWithNames(), nil
}

// forget takes the variables away.
func forget() {
	for _, name := range []string{pidEnv, countEnv, "LISTEN_FDNAMES", "LISTEN_PIDFDID"} {
		os.Unsetenv(name)
	}
}

func closeAll(kept map[string][]*os.File) {
	for _, files := range kept {
		for _, f := range files {
			f.Close()
		}
	}
}
