package manifest

// frame finds the end of a JSON value byte by byte. It does not check: text with
// brackets that do not match ends somewhere, and json.Valid refuses it there.
type frame struct {
	depth    int
	inString bool
	escaped  bool
}

// framed is where a byte stands in its value.
type framed uint8

const (
	frameInside framed = iota
	frameEnd           // the last byte of the value
	frameBefore        // no longer a byte of the value
)

func (f *frame) step(c byte) framed {
	if f.inString {
		return f.text(c)
	}
	switch c {
	case '"':
		f.inString = true
	case '{', '[':
		f.depth++
	case '}', ']':
		f.depth--
		if f.depth <= 0 {
			return f.close()
		}
	case ',', ':', ' ', '\n', '\t', '\r':
		if f.depth == 0 {
			return frameBefore
		}
	}
	return frameInside
}

// close ends the value: its own bracket is its last byte, while the one of what
// surrounds a number or literal is not.
func (f *frame) close() framed {
	if f.depth < 0 {
		return frameBefore
	}
	return frameEnd
}

func (f *frame) text(c byte) framed {
	switch {
	case f.escaped:
		f.escaped = false
	case c == '\\':
		f.escaped = true
	case c == '"':
		f.inString = false
		if f.depth == 0 {
			return frameEnd
		}
	}
	return frameInside
}
