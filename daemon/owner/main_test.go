package owner_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"github.com/pinfs/pinfs/daemon/fdstore"
	"github.com/pinfs/pinfs/daemon/owner"
	"github.com/pinfs/pinfs/testwarden"
)

// workerEnv makes this binary a worker that does what it is told over this socket.
const workerEnv = "OWNER_TEST_SOCKET"

func TestMain(m *testing.M) {
	if path := os.Getenv(workerEnv); path != "" {
		os.Exit(work(path))
	}
	testwarden.Main()
	goleak.VerifyTestMain(m)
}

// hello is what a worker found when it started.
type hello struct {
	PID     int
	Program string
	Names   []string // of what is kept, in order
	Texts   []string // their contents
	Socket  string
	Ready   string // the variable
	GiveUp  string // the variable
	Alone   bool   // the process leads a group
	Env     string // the variable OWNER_TEST_ENV
	Dir     string
	FDs     int // inherited descriptors beyond the first three
}

// order is what a test tells a worker to do. Its answer is an error's text, "" when
// all is well; there is none when the process ends.
type order struct {
	Do   string
	Name string
	Text string
	N    int
}

// worker is a worker's state.
type worker struct {
	s    *fdstore.Store
	kept map[string][]*os.File
}

func look() hello {
	h := hello{PID: os.Getpid(), Socket: os.Getenv("NOTIFY_SOCKET"), Ready: os.Getenv(owner.ReadyEnv), GiveUp: os.Getenv(owner.GiveUpEnv), Env: os.Getenv("OWNER_TEST_ENV"), Alone: unix.Getpgrp() == os.Getpid()}
	h.Program, _ = os.Readlink("/proc/self/exe")
	h.Dir, _ = os.Getwd()
	if names := os.Getenv("LISTEN_FDNAMES"); names != "" {
		h.Names = strings.Split(names, ":")
	}
	if n, _ := strconv.Atoi(os.Getenv("LISTEN_FDS")); n != len(h.Names) {
		h.Names = append(h.Names, fmt.Sprintf("but LISTEN_FDS is %d", n))
	}
	for i := range h.Names {
		text := make([]byte, 100)
		n, _ := unix.Pread(3+i, text, 0)
		h.Texts = append(h.Texts, string(text[:max(n, 0)]))
	}
	for fd := 3; fd < 5000; fd++ {
		if flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err == nil && flags&unix.FD_CLOEXEC == 0 {
			h.FDs++
		}
	}
	return h
}

func work(path string) int {
	h := look()
	s, kept, err := fdstore.Open()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 100
	}
	conn, err := net.Dial("unix", path)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 101
	}
	w := &worker{s, kept}
	in, out := json.NewDecoder(conn), json.NewEncoder(conn)
	if err := out.Encode(h); err != nil {
		return 102
	}
	for {
		var o order
		if in.Decode(&o) != nil {
			return 103
		}
		if o.Do == "exit" {
			return o.N
		}
		answer := ""
		if err := w.do(o); err != nil {
			answer = err.Error()
		}
		if out.Encode(answer) != nil {
			return 104
		}
	}
}

func (w *worker) do(o order) error {
	switch o.Do {
	case "put":
		return w.put(o.Name, o.Text)
	case "put many":
		var err error
		for i := range o.N {
			err = errors.Join(err, w.put(o.Name+strconv.Itoa(i), o.Text))
		}
		return err
	case "put and die":
		for i := range o.N {
			if w.put(o.Name+strconv.Itoa(i), o.Text) != nil {
				return errors.New("can't put")
			}
		}
		return unix.Kill(os.Getpid(), unix.SIGKILL)
	case "put again":
		return w.s.Put(o.Text, w.kept[o.Name][0])
	case "put pipe":
		f, err := os.OpenFile(o.Text, os.O_WRONLY, 0)
		if err != nil {
			return err
		}
		defer f.Close()
		return w.s.Put(o.Name, f)
	case "write":
		_, err := w.kept[o.Name][0].WriteString(o.Text)
		return err
	case "tell":
		fd, _ := strconv.Atoi(os.Getenv(owner.ReadyEnv))
		_, err := unix.Write(fd, []byte(o.Text))
		return err
	case "obey":
		told := make(chan os.Signal, 1)
		signal.Notify(told, syscall.SIGTERM)
		go func() { <-told; os.Exit(o.N) }()
		return nil
	case "ignore":
		signal.Ignore(syscall.SIGTERM)
		return nil
	}
	return w.say(o)
}

// say sends what an order is about.
func (w *worker) say(o order) error {
	switch o.Do {
	case "ready":
		return w.s.Ready("as told")
	case "remove":
		return w.s.Remove(o.Name)
	case "program":
		return w.s.Program(o.Name)
	case "stopping":
		return w.s.Stopping()
	case "barrier":
		ctx, cancel := timeout()
		defer cancel()
		return w.s.Barrier(ctx)
	}
	return errors.New("no such order: " + o.Do)
}

// put has a new file with text kept, and has it itself no longer.
func (w *worker) put(name, text string) error {
	fd, err := unix.MemfdCreate("kept", unix.MFD_CLOEXEC)
	if err != nil {
		return err
	}
	f := os.NewFile(uintptr(fd), name)
	defer f.Close()
	if _, err := f.WriteString(text); err != nil {
		return err
	}
	return w.s.Put(name, f)
}
