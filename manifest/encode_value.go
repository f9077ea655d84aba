package manifest

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"unicode/utf8"
)

// appendValue appends decoded JSON. encoding/json would replace text that is not
// UTF-8 and escape '<' and '>'; numbers keep their text.
func appendValue(b []byte, v any, depth int) ([]byte, error) {
	if depth > maxDepth {
		return nil, fmt.Errorf("more than %d levels", maxDepth)
	}
	switch v := v.(type) {
	case string:
		return appendText(b, v)
	case json.Number:
		return appendNumber(b, v)
	case map[string]any:
		return appendObject(b, v, depth)
	case []any:
		return appendArray(b, v, depth)
	case nil, bool, int, int64, uint64, float64:
		text, err := json.Marshal(v)
		return append(b, text...), err
	}
	return nil, fmt.Errorf("a value of Go type %T is no decoded JSON", v)
}

// appendObject appends m with its keys in byte order; nil is {}.
func appendObject(b []byte, m map[string]any, depth int) ([]byte, error) {
	b = append(b, '{')
	for i, key := range slices.Sorted(maps.Keys(m)) {
		if i > 0 {
			b = append(b, ',')
		}
		var err error
		if b, err = appendText(b, key); err != nil {
			return nil, err
		}
		if b, err = appendValue(append(b, ':'), m[key], depth+1); err != nil {
			return nil, err
		}
	}
	return append(b, '}'), nil
}

func appendArray(b []byte, list []any, depth int) ([]byte, error) {
	b = append(b, '[')
	for i, v := range list {
		if i > 0 {
			b = append(b, ',')
		}
		var err error
		if b, err = appendValue(b, v, depth+1); err != nil {
			return nil, err
		}
	}
	return append(b, ']'), nil
}

// appendNumber makes sure that n, which is any text to Go, is a JSON number.
func appendNumber(b []byte, n json.Number) ([]byte, error) {
	if n == "" || n[0] != '-' && !isDigit(n[0]) || !isDigit(n[len(n)-1]) || !json.Valid([]byte(n)) {
		return nil, fmt.Errorf("%q is no number", string(n))
	}
	return append(b, n...), nil
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

func appendField(b []byte, key, value string) ([]byte, error) {
	b = append(b, '"')
	b = append(b, key...)
	b = append(b, '"', ':')
	return appendText(b, value)
}

// appendText appends s as a JSON string that escapes only what must be.
func appendText(b []byte, s string) ([]byte, error) {
	if !utf8.ValidString(s) {
		return nil, errors.New("not UTF-8, which JSON can't hold")
	}
	b = append(b, '"')
	start := 0
	for i := range len(s) {
		if c := s[i]; c < ' ' || c == '"' || c == '\\' {
			b = append(b, s[start:i]...)
			b = appendEscape(b, c)
			start = i + 1
		}
	}
	return append(append(b, s[start:]...), '"'), nil
}

func appendEscape(b []byte, c byte) []byte {
	const hex = "0123456789abcdef"
	switch c {
	case '"', '\\':
		return append(b, '\\', c)
	case '\n':
		return append(b, '\\', 'n')
	case '\t':
		return append(b, '\\', 't')
	case '\r':
		return append(b, '\\', 'r')
	}
	return append(b, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
}
