package manifest

import "bytes"

// frame finds the end of a JSON value, in one window of its text after another. It
// looks at brackets and quotes only and does not check: text with brackets that
// do not match ends somewhere, and json.Valid refuses it there.
type frame struct {
	depth    int
	inString bool
	escaped  bool // the byte before, in a string, was a backslash that counts
}

// scan goes on with b. done tells that the value ends before b[n]; else all of b
// belongs to it and n is len(b).
func (f *frame) scan(b []byte) (n int, done bool) {
	for n < len(b) {
		if f.inString {
			n += f.text(b[n:])
			if !f.inString && f.depth == 0 {
				return n, true
			}
			continue
		}
		switch b[n] {
		case '"':
			f.inString = true
		case '{', '[':
			f.depth++
		case '}', ']':
			if f.depth == 0 { // of what is around a number or literal
				return n, true
			}
			if f.depth--; f.depth == 0 {
				return n + 1, true
			}
		case ',', ':', ' ', '\n', '\t', '\r':
			if f.depth == 0 {
				return n, true
			}
		}
		n++
	}
	return n, false
}

// text gives how much of b is still in the string, its closing quote included.
func (f *frame) text(b []byte) int {
	end := bytes.IndexByte(b, '"')
	if end >= 0 && !f.escaped && bytes.IndexByte(b[:end], '\\') < 0 {
		f.inString = false
		return end + 1
	}
	for i, c := range b {
		switch {
		case f.escaped:
			f.escaped = false
		case c == '\\':
			f.escaped = true
		case c == '"':
			f.inString = false
			return i + 1
		}
	}
	return len(b)
}
