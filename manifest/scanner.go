package manifest

import (
	"encoding/json"
	"fmt"
	"io"
	"unicode/utf8"
)

// Bounds of the JSON that is read. They are what keeps memory flat whatever is
// sent: one value at a time is held.
const (
	maxValue = 1 << 20 // bytes of JSON in one entry, key or header field
	maxDepth = 64      // levels of objects and arrays in one value
	readSize = 64 << 10
)

// scanner cuts a stream of JSON into keys and values. encoding/json's own Decoder
// buffers a string or value of any length, folds the case of keys and turns bytes
// that are not UTF-8 into U+FFFD, which would change paths; so the framing is
// done here, and each value is then given to json.Valid.
type scanner struct {
	r        io.Reader
	buf      []byte
	pos, end int   // buf[pos:end] is read and not consumed
	base     int64 // offset of buf[0] in the input
	err      error // of r, sticky
}

func newScanner(r io.Reader) *scanner {
	return &scanner{r: r, buf: make([]byte, readSize)}
}

// fill reads at least one more byte behind buf[pos:end], which may move. At the
// end of the input the error is io.EOF, those of the reader are wrapped.
func (s *scanner) fill() error {
	if s.pos > 0 {
		copy(s.buf, s.buf[s.pos:s.end])
		s.base += int64(s.pos)
		s.pos, s.end = 0, s.end-s.pos
	}
	if s.end > maxValue {
		return s.bad("a value of more than %d bytes", maxValue)
	}
	if s.end == len(s.buf) {
		s.buf = append(s.buf, make([]byte, len(s.buf))...)
	}
	for range 100 {
		if s.err != nil {
			return s.err
		}
		n, err := s.r.Read(s.buf[s.end:])
		s.end += n
		if err != nil && err != io.EOF {
			err = fmt.Errorf("read manifest: %w", err)
		}
		if s.err = err; n > 0 {
			return nil
		}
	}
	return fmt.Errorf("read manifest: %w", io.ErrNoProgress)
}

// peek gives the next byte that is not space, without consuming it.
func (s *scanner) peek() (byte, error) {
	for {
		for ; s.pos < s.end; s.pos++ {
			if c := s.buf[s.pos]; !isSpace(c) {
				return c, nil
			}
		}
		if err := s.fill(); err == io.EOF {
			return 0, s.bad("the text ends early")
		} else if err != nil {
			return 0, err
		}
	}
}

// take consumes the next byte if it is c.
func (s *scanner) take(c byte) error {
	got, err := s.peek()
	if err != nil {
		return err
	}
	if got != c {
		return s.bad("expected '%c' but found %q", c, rune(got))
	}
	s.pos++
	return nil
}

// finish makes sure that nothing but space is left.
func (s *scanner) finish() error {
	for {
		for ; s.pos < s.end; s.pos++ {
			if !isSpace(s.buf[s.pos]) {
				return s.bad("text behind the end of the manifest")
			}
		}
		if err := s.fill(); err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
	}
}

// value consumes one whole value and gives its JSON: valid, in UTF-8, at most
// maxValue bytes. The slice is good until the next call.
func (s *scanner) value() ([]byte, error) {
	if _, err := s.peek(); err != nil {
		return nil, err
	}
	n, err := s.frame()
	if err != nil {
		return nil, err
	}
	raw := s.buf[s.pos : s.pos+n]
	switch {
	case n > maxValue:
		return nil, s.bad("a value of more than %d bytes", maxValue)
	case !isPlain(raw) && !json.Valid(raw):
		return nil, s.bad("not JSON")
	case !utf8.Valid(raw):
		return nil, s.bad("text that is not UTF-8")
	}
	s.pos += n
	return raw, nil
}

// frame gives the length of the value that begins at pos.
func (s *scanner) frame() (int, error) {
	var f frame
	for n := 0; ; {
		more, done := f.scan(s.buf[s.pos+n : s.end])
		n += more
		if done {
			return n, nil
		}
		if err := s.fill(); err == io.EOF {
			return 0, s.bad("the text ends early")
		} else if err != nil {
			return 0, err
		}
	}
}

// object consumes an object. each is called behind every key and consumes its
// value.
func (s *scanner) object(each func(key string) error) error {
	if err := s.take('{'); err != nil {
		return err
	}
	if c, err := s.peek(); err != nil || c == '}' {
		s.pos++
		return err
	}
	for {
		if err := s.member(each); err != nil {
			return err
		}
		c, err := s.peek()
		if err != nil {
			return err
		}
		if c == '}' {
			s.pos++
			return nil
		}
		if err := s.take(','); err != nil {
			return err
		}
	}
}

func (s *scanner) member(each func(key string) error) error {
	if c, err := s.peek(); err != nil {
		return err
	} else if c != '"' {
		return s.bad("expected a key but found %q", rune(c))
	}
	raw, err := s.value()
	if err != nil {
		return err
	}
	key, err := unquote(raw)
	if err != nil {
		return s.bad("key: %v", err)
	}
	if err := s.take(':'); err != nil {
		return err
	}
	return each(key)
}

// skip consumes a value of any length without keeping it.
func (s *scanner) skip(depth int) error {
	c, err := s.peek()
	if err != nil {
		return err
	}
	if depth > maxDepth {
		return s.bad("more than %d levels", maxDepth)
	}
	switch c {
	case '{':
		return s.object(func(string) error { return s.skip(depth + 1) })
	case '[':
		return s.skipArray(depth)
	}
	_, err = s.value()
	return err
}

func (s *scanner) skipArray(depth int) error {
	s.pos++
	if c, err := s.peek(); err != nil || c == ']' {
		s.pos++
		return err
	}
	for {
		if err := s.skip(depth + 1); err != nil {
			return err
		}
		c, err := s.peek()
		if err != nil {
			return err
		}
		if c == ']' {
			s.pos++
			return nil
		}
		if err := s.take(','); err != nil {
			return err
		}
	}
}

// bad is an error of the text at the place that the scanner has reached.
func (s *scanner) bad(format string, args ...any) error {
	return badManifest("", fmt.Sprintf(format, args...)+fmt.Sprintf(" (at byte %d)", s.base+int64(s.pos)))
}

func badManifest(path, msg string) *Error {
	e := &Error{Kind: KindInvalid, Op: "read manifest", Msg: msg}
	if path != "" {
		e.Ref = quotePath(path)
	}
	return e
}

// isPlain is true for strings without escapes or control characters, such as
// nearly all paths. It spares them json.Valid, the slowest step of all.
func isPlain(raw []byte) bool {
	if len(raw) < 2 || raw[0] != '"' {
		return false
	}
	for _, c := range raw[1 : len(raw)-1] {
		if c < ' ' || c == '\\' {
			return false
		}
	}
	return true
}

func isSpace(c byte) bool { return c == ' ' || c == '\n' || c == '\t' || c == '\r' }
