package manifest

import (
	"errors"
	"fmt"
	"strconv"
)

// text decodes a string; null is "".
func (c *cursor) text() (string, error) {
	switch c.peek() {
	case '"':
		return unquote(c.raw())
	case 'n':
		c.raw()
		return "", nil
	}
	return "", errors.New("must be a string")
}

// attributes decodes an object; null and an empty one are nil.
func (c *cursor) attributes() (map[string]any, error) {
	switch c.peek() {
	case '{':
		m, err := c.object(1)
		if err != nil || len(m) == 0 {
			return nil, err
		}
		return m, nil
	case 'n':
		c.raw()
		return nil, nil
	}
	return nil, errors.New("must be an object")
}

// flag decodes a boolean; null is false.
func (c *cursor) flag() (bool, error) {
	switch c.peek() {
	case 't', 'f', 'n':
		return c.raw()[0] == 't', nil
	}
	return false, errors.New("must be true or false")
}

// size decodes a number of bytes; null is SizeUnknown.
func (c *cursor) size() (int64, error) {
	raw := c.raw()
	if raw[0] == 'n' {
		return SizeUnknown, nil
	}
	n, err := strconv.ParseUint(string(raw), 10, 63)
	if err != nil {
		return 0, fmt.Errorf("must be a whole number of bytes below 2^63, not %s", clip(raw))
	}
	return int64(n), nil
}
