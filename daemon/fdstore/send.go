package fdstore

import (
	"errors"
	"net"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// send sends lines as one message, with f beside it unless it is nil.
func (s *Store) send(f *os.File, lines ...string) error {
	text := []byte(strings.Join(lines, "\n"))
	if f == nil {
		return s.write(text, nil)
	}
	raw, err := f.SyscallConn()
	if err != nil {
		return err
	}
	var sent error
	if err := raw.Control(func(fd uintptr) { sent = s.write(text, unix.UnixRights(int(fd))) }); err != nil {
		return err
	}
	return sent
}

// write sends one datagram, to a new reader of the same path if the old one is gone.
func (s *Store) write(text, rights []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	err := s.writeOnce(text, rights)
	if s.abstract() || !errors.Is(err, unix.ECONNREFUSED) && !errors.Is(err, unix.ENOTCONN) {
		return err
	}
	conn, again := s.dial()
	if again != nil {
		return again
	}
	s.conn.Close()
	s.conn = conn
	return s.writeOnce(text, rights)
}

// writeOnce sends one datagram. mu is held. WriteMsgUnix has no way to send
// descriptors over a connected socket.
func (s *Store) writeOnce(text, rights []byte) error {
	if err := s.conn.SetWriteDeadline(time.Now().Add(s.wait)); err != nil {
		return err
	}
	raw, err := s.conn.SyscallConn()
	if err != nil {
		return err
	}
	var sent error
	err = raw.Write(func(fd uintptr) bool {
		sent = unix.Sendmsg(int(fd), text, rights, nil, unix.MSG_NOSIGNAL|unix.MSG_DONTWAIT)
		return sent != unix.EAGAIN
	})
	if err != nil {
		return err
	}
	return sent
}

func (s *Store) dial() (*net.UnixConn, error) { return net.DialUnix("unixgram", nil, &s.addr) }

// abstract: the name of the socket is free for anybody when its owner is gone.
func (s *Store) abstract() bool { return strings.HasPrefix(s.addr.Name, "@") }
