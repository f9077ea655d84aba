package owner

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/pinfs/pinfs/daemon/fdstore"
)

// hear reads the messages of the worker pid until stop, which returns when all that
// was sent before has been read, and says whether the worker was ready. ready is
// closed when it is.
func (o *owner) hear(pid int) (ready <-chan struct{}, stop func() bool) {
	said, told, done := false, make(chan struct{}), make(chan struct{})
	take := func(m message) {
		if o.take(m, pid) && !said {
			said = true
			close(told)
		}
	}
	go func() { // ends with stop
		defer close(done)
		o.receiveAll(take)
	}()
	return told, func() bool {
		o.socket.interrupt()
		<-done
		o.socket.resume()
		o.drain(take)
		return said
	}
}

// receiveAll takes messages as they come, until the socket is interrupted.
func (o *owner) receiveAll(take func(message)) {
	for {
		m, err := o.socket.receive(true)
		switch {
		case err == nil:
			take(m)
		case errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, net.ErrClosed):
			return
		case errors.Is(err, errTruncated):
			o.Logger.Debug("a message is dropped", "error", err) // anybody may send one
		default: // no memory: there may be some soon
			o.Logger.Error("messages can't be read", "error", err)
			time.Sleep(firstPause)
		}
	}
}

// drain takes what is in the socket.
func (o *owner) drain(take func(message)) {
	for range maxDrain {
		m, err := o.socket.receive(false)
		switch {
		case errors.Is(err, errTruncated):
		case err != nil:
			return
		default:
			take(m)
		}
	}
}

// take does what a message asks for, if whoever sent it may ask, and says whether
// that is ready.
func (o *owner) take(m message, pid int) (ready bool) {
	defer func() { m.close() }() // what was not kept
	if int(m.from.Pid) != pid && m.from.Uid != uint32(os.Getuid()) {
		o.Logger.Debug("a stranger's message is dropped", "pid", m.from.Pid, "uid", m.from.Uid)
		return false
	}
	f := parse(m.text)
	if f[fdstore.KeyStore] == "1" {
		m.fds = o.keep(nameOf(f), m.fds)
	}
	if f[fdstore.KeyRemove] == "1" {
		o.kept.remove(f[fdstore.KeyName])
	}
	if path := f[fdstore.KeyProgram]; filepath.IsAbs(path) {
		o.programs.prefer(path)
	}
	if f["STOPPING"] == "1" {
		o.Logger.Debug("the worker is ending", "pid", pid)
	}
	return f["READY"] == "1"
}

// keep keeps fds and gives those that are not kept.
func (o *owner) keep(name string, fds []int) (left []int) {
	for _, fd := range fds {
		if err := o.kept.add(name, fd); err != nil {
			if !errors.Is(err, errSame) {
				o.Logger.Error("a descriptor is not kept", "name", name, "error", err)
			}
			left = append(left, fd)
		}
	}
	return left
}

// nameOf is what the descriptors of a message are called. systemd has a name for those
// that have none.
func nameOf(fields map[string]string) string {
	name := fields[fdstore.KeyName]
	if fdstore.CheckName(name) != nil {
		return "stored"
	}
	return name
}

// parse gives the fields of a message. Of a key that is there twice the last one
// counts.
func parse(text string) map[string]string {
	fields := map[string]string{}
	if strings.ContainsRune(text, 0) {
		return fields
	}
	for line := range strings.Lines(text) {
		if key, value, ok := strings.Cut(strings.TrimSuffix(line, "\n"), "="); ok {
			fields[key] = value
		}
	}
	return fields
}
