package manifest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"unicode/utf16"
)

// cursor walks one JSON value that json.Valid has accepted, so it checks no
// syntax. It decodes numbers to json.Number, which keeps their text.
type cursor struct {
	b []byte
	i int
}

// peek gives the next byte that is not space.
func (c *cursor) peek() byte {
	for isSpace(c.b[c.i]) {
		c.i++
	}
	return c.b[c.i]
}

// more steps over the comma between members; it is false, and the closing
// bracket consumed, behind the last one.
func (c *cursor) more(closing byte) bool {
	switch c.peek() {
	case closing:
		c.i++
		return false
	case ',':
		c.i++
	}
	return true
}

// raw consumes a value and gives its text.
func (c *cursor) raw() []byte {
	c.peek()
	var f frame
	n, _ := f.scan(c.b[c.i:])
	c.i += n
	return c.b[c.i-n : c.i]
}

// key consumes a key and its colon.
func (c *cursor) key() (string, error) {
	key, err := unquote(c.raw())
	c.peek()
	c.i++
	return key, err
}

// value decodes a value; depth counts the levels around it.
func (c *cursor) value(depth int) (any, error) {
	if depth > maxDepth {
		return nil, fmt.Errorf("more than %d levels", maxDepth)
	}
	switch c.peek() {
	case '{':
		return c.object(depth)
	case '[':
		return c.array(depth)
	case '"':
		return unquote(c.raw())
	case 't', 'f':
		return c.raw()[0] == 't', nil
	case 'n':
		c.raw()
		return nil, nil
	}
	return json.Number(c.raw()), nil
}

func (c *cursor) object(depth int) (map[string]any, error) {
	m := make(map[string]any)
	for c.i++; c.more('}'); {
		key, err := c.key()
		if err != nil {
			return nil, err
		}
		if _, twice := m[key]; twice {
			return nil, fmt.Errorf("key %s occurs twice", quotePath(key))
		}
		if m[key], err = c.value(depth + 1); err != nil {
			return nil, err
		}
	}
	return m, nil
}

func (c *cursor) array(depth int) ([]any, error) {
	list := []any{}
	for c.i++; c.more(']'); {
		v, err := c.value(depth + 1)
		if err != nil {
			return nil, err
		}
		list = append(list, v)
	}
	return list, nil
}

// unquote decodes a JSON string. encoding/json turns a half of a surrogate pair
// into U+FFFD and says nothing; here it is an error.
func unquote(raw []byte) (string, error) {
	if bytes.IndexByte(raw, '\\') < 0 {
		return intern(raw[1 : len(raw)-1]), nil
	}
	if loneSurrogate(raw) {
		return "", errors.New("a \\u escape is one half of a surrogate pair")
	}
	var s string
	err := json.Unmarshal(raw, &s)
	return s, err
}

// intern spares the allocation for the keys of nearly every entry.
func intern(b []byte) string {
	switch string(b) {
	case "digest":
		return "digest"
	case "ref":
		return "ref"
	case "size":
		return "size"
	case "extra":
		return "extra"
	case ExtraETag:
		return ExtraETag
	case ExtraVersion:
		return ExtraVersion
	}
	return string(b)
}

// loneSurrogate looks through the escapes of a valid JSON string.
func loneSurrogate(raw []byte) bool {
	var high bool // the escape right before was the first half of a pair
	for i := 0; i < len(raw); i++ {
		unit, ok := escapedUnit(raw[i:])
		low := ok && unit >= 0xdc00 && unit <= 0xdfff
		if high != low {
			return true
		}
		high = ok && utf16.IsSurrogate(unit) && !low
		switch {
		case ok:
			i += len(`\uXXXX`) - 1
		case raw[i] == '\\':
			i++
		}
	}
	return high
}

// escapedUnit decodes a \uXXXX at the start of b.
func escapedUnit(b []byte) (rune, bool) {
	if len(b) < 6 || b[0] != '\\' || b[1] != 'u' {
		return 0, false
	}
	n, err := strconv.ParseUint(string(b[2:6]), 16, 16)
	return rune(n), err == nil
}
