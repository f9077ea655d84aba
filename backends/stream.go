package backends

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/pinfs/pinfs/manifest"
)

// stream is a body that is resumed where it broke off. Its last bytes are given
// only when the body confirms its end, so that a body of the wrong length and a
// check that a driver makes at the end are errors, never a short or long read.
type stream struct {
	ctx     context.Context
	backend Backend
	obj     manifest.Object
	g       *budget

	info   Info // of the first response
	pos    int64
	end    int64 // where the stream must end; -1 until told, or if nobody knows
	length int64 // still to come, of what was asked; -1 to the end

	attempt *attempt
	body    io.ReadCloser
	got     int64         // bytes of this attempt
	window  int64         // bytes since waited was 0
	waited  time.Duration // for this window
	broken  error         // came with the last bytes
	err     error         // final
}

// start opens the body at pos, as often as the budget allows.
func (s *stream) start() error {
	for {
		if err := Ended(s.ctx, s.g.op, s.obj.Ref); err != nil {
			return err
		}
		err := s.connect()
		if err == nil {
			return nil
		}
		if err := s.g.next(s.ctx, err, 0); err != nil {
			return err
		}
	}
}

// connect makes one attempt to open the body.
func (s *stream) connect() error {
	defer s.g.clock()()
	a := newAttempt(s.ctx, s.g.policy.StallTimeout)
	if silence := s.g.silence(s.obj); silence > 0 {
		a.watch(min(silence, s.g.left()))
	}
	body, info, err := s.backend.Open(a.ctx, s.obj, s.pos, s.length)
	a.rest()
	if err != nil {
		defer a.end()
		return a.failure(s.g.op, s.obj.Ref, err)
	}
	if err := s.accept(info); err != nil {
		a.end()
		_ = body.Close() // nothing was read
		return err
	}
	s.g.answered()
	s.attempt, s.body, s.broken = a, body, nil
	s.got, s.window, s.waited = 0, 0, 0
	return nil
}

// accept takes the facts of the first response and compares those of the others.
func (s *stream) accept(info Info) error {
	if s.body != nil {
		if info.Size != s.info.Size {
			return &manifest.Error{Kind: manifest.KindChanged, Op: s.g.op, Ref: s.obj.Ref, Msg: "the object changed while it was read",
				Expected: fmt.Sprintf("%d bytes", s.info.Size), Found: fmt.Sprintf("%d bytes", info.Size)}
		}
		return nil
	}
	s.info, s.end = info, -1
	if info.Size >= 0 {
		s.end = max(s.pos, info.Size)
		if s.length >= 0 && s.length < s.end-s.pos {
			s.end = s.pos + s.length
		}
	}
	return nil
}

// Read gives the next bytes, over as many attempts as it takes.
func (s *stream) Read(p []byte) (int, error) {
	if s.err != nil || len(p) == 0 {
		return 0, s.err
	}
	for {
		n, err := s.readOnce(p)
		if err == nil && n == 0 {
			continue
		}
		if err == nil {
			return n, nil
		}
		if s.err = s.resume(err); s.err != nil {
			return 0, s.err
		}
	}
}

// readOnce reads from the body that is open. It gives bytes or an error, not both.
func (s *stream) readOnce(p []byte) (int, error) {
	defer s.g.clock()()
	if s.broken != nil {
		return 0, s.broken
	}
	if s.pos == s.end {
		return 0, s.confirm()
	}
	n, err := s.ask(p)
	if s.end >= 0 && int64(n) > s.end-s.pos {
		return 0, s.tooLong()
	}
	if s.pos+int64(n) == s.end && n > 0 {
		s.broken = err
		if err = s.confirm(); err != io.EOF { //nolint:errorlint // io.Reader's own rule
			return 0, err
		}
	}
	if n == 0 {
		return 0, err
	}
	s.broken = err
	s.advance(int64(n))
	return n, nil
}

func (s *stream) advance(n int64) {
	s.pos += n
	s.got += n
	s.g.bytes += n
	if s.length >= 0 {
		s.length = max(0, s.length-n)
	}
}

// confirm wants the body to end here: io.EOF. A connection that breaks only now
// has brought all there is.
func (s *stream) confirm() error {
	err := s.broken
	if err == nil {
		var n int
		if n, err = s.ask(make([]byte, 1)); n > 0 {
			return s.tooLong()
		}
	}
	if err == nil || err == io.EOF || again(s.reason(err)) { //nolint:errorlint // io.Reader's own rule
		return io.EOF
	}
	return err
}

// ask reads once from the body and cuts it when it is silent or trickles.
func (s *stream) ask(p []byte) (int, error) {
	start := time.Now()
	s.attempt.watch(max(0, min(s.g.policy.StallTimeout-s.waited, s.g.left())))
	n, err := s.body.Read(p)
	s.attempt.rest()
	s.waited += time.Since(start)
	if s.window += int64(n); s.window >= s.g.policy.stallBytes() {
		s.window, s.waited = 0, 0
	}
	return n, err
}

// resume opens the body again after err, or gives the stream's last error.
func (s *stream) resume(err error) error {
	if err == io.EOF && (s.end < 0 || s.pos == s.end) { //nolint:errorlint // io.Reader's own rule
		s.release()
		return io.EOF
	}
	err = s.reason(err)
	s.release()
	if err := s.g.next(s.ctx, err, s.got); err != nil {
		return err
	}
	return s.start()
}

// reason makes a typed error of what a body's Read gave: what a driver has not
// typed is a broken connection.
func (s *stream) reason(err error) error {
	err = s.attempt.failure(s.g.op, s.obj.Ref, err)
	if err == io.EOF { //nolint:errorlint // io.Reader's own rule
		err = fmt.Errorf("the body ended at byte %d of %d", s.pos, s.end)
	}
	var typed *manifest.Error
	if errors.As(err, &typed) {
		return err
	}
	return Unreachable(s.g.op, s.obj.Ref, err)
}

func (s *stream) tooLong() error {
	return &manifest.Error{Kind: manifest.KindCorrupt, Op: s.g.op, Ref: s.obj.Ref,
		Msg: fmt.Sprintf("the body goes on after byte %d, where it should end", s.end)}
}

func (s *stream) release() {
	s.attempt.end()
	_ = s.body.Close() // it was only read
}

// Close frees the connection; Read fails from then on.
func (s *stream) Close() error {
	if s.err == nil {
		s.err = &manifest.Error{Kind: manifest.KindOther, Op: s.g.op, Ref: s.obj.Ref, Msg: "the stream was closed"}
		s.attempt.end()
		return s.body.Close()
	}
	return nil
}
