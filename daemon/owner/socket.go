package owner

import (
	"crypto/rand"
	"errors"
	"net"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const (
	maxMessage = 4096 // bytes
	maxFDs     = 16   // of one message
	// maxDrain bounds what is read after a worker's end. A queue has 10 or 512 places.
	maxDrain = 1 << 16
)

var errTruncated = errors.New("a message too long or with too many descriptors")

// message is what came in one datagram. Whoever has it closes its descriptors.
type message struct {
	from unix.Ucred
	text string
	fds  []int
}

func (m *message) close() {
	for _, fd := range m.fds {
		unix.Close(fd)
	}
	m.fds = nil
}

// socket is where workers send messages to.
type socket struct {
	name string
	conn *net.UnixConn
	raw  syscall.RawConn
	text []byte
	oob  []byte
}

func listen() (*socket, error) {
	name := "@pinfs-owner-" + rand.Text()
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: name, Net: "unixgram"})
	if err != nil {
		return nil, err
	}
	s := &socket{name: name, conn: conn, text: make([]byte, maxMessage), oob: make([]byte, unix.CmsgSpace(unix.SizeofUcred)+unix.CmsgSpace(4*maxFDs))}
	s.raw, err = conn.SyscallConn()
	if err == nil {
		failed := s.raw.Control(func(fd uintptr) { err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_PASSCRED, 1) })
		err = errors.Join(err, failed)
	}
	if err != nil {
		conn.Close()
		return nil, err
	}
	return s, nil
}

func (s *socket) close() { s.conn.Close() }

// interrupt ends a receive that waits, and those to come until resume.
func (s *socket) interrupt() { _ = s.conn.SetReadDeadline(time.Unix(1, 0)) }

func (s *socket) resume() { _ = s.conn.SetReadDeadline(time.Time{}) }

// receive gives the next message. When there is none it waits, or fails with EAGAIN.
func (s *socket) receive(wait bool) (m message, err error) {
	var failed error
	err = s.raw.Read(func(fd uintptr) bool {
		m, failed = s.read(int(fd))
		return !wait || failed != unix.EAGAIN
	})
	if err != nil {
		return message{}, err
	}
	return m, failed
}

func (s *socket) read(fd int) (m message, err error) {
	n, oobn, flags, _, err := unix.Recvmsg(fd, s.text, s.oob, unix.MSG_CMSG_CLOEXEC|unix.MSG_DONTWAIT)
	if err != nil {
		return m, err
	}
	m.from = unix.Ucred{Pid: -1, Uid: ^uint32(0)}
	parts, err := unix.ParseSocketControlMessage(s.oob[:oobn])
	for _, part := range parts {
		switch part.Header.Type {
		case unix.SCM_RIGHTS:
			fds, _ := unix.ParseUnixRights(&part) // of that type
			m.fds = append(m.fds, fds...)
		case unix.SCM_CREDENTIALS:
			if from, err := unix.ParseUnixCredentials(&part); err == nil {
				m.from = *from
			}
		}
	}
	if flags&(unix.MSG_TRUNC|unix.MSG_CTRUNC) != 0 {
		err = errTruncated
	}
	if err != nil {
		m.close()
		return m, err
	}
	m.text = string(s.text[:n])
	return m, nil
}
