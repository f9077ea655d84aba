package manifest

import (
	"fmt"
	"strconv"
	"strings"
)

// Limits of paths in bytes, Linux's NAME_MAX and PATH_MAX less its NUL.
const (
	maxComponent = 255
	maxPath      = 4095
)

// CheckPath tells whether p can be a path in a version: relative, components
// separated by one '/', each 1 to 255 bytes and none of them "." or "..", at most
// 4,095 bytes in all, no NUL. Any other bytes may occur, not only UTF-8. Errors
// are KindInvalid and name the path, quoted.
func CheckPath(p string) error {
	switch {
	case p == "":
		return badPath(p, "empty path")
	case len(p) > maxPath:
		return badPath(p, "path of %d bytes; the most is %d", len(p), maxPath)
	case p[0] == '/':
		return badPath(p, "absolute path")
	case strings.IndexByte(p, 0) >= 0:
		return badPath(p, "path with a NUL byte")
	}
	for rest, more := p, true; more; {
		var part string
		part, rest, more = strings.Cut(rest, "/")
		switch {
		case part == "":
			return badPath(p, "path with an empty component")
		case part == "." || part == "..":
			return badPath(p, "path with a '%s' component", part)
		case len(part) > maxComponent:
			return badPath(p, "path with a component of %d bytes; the most is %d", len(part), maxComponent)
		}
	}
	return nil
}

func badPath(p, format string, args ...any) error {
	return &Error{Kind: KindInvalid, Op: "check path", Ref: quotePath(p), Msg: fmt.Sprintf(format, args...)}
}

// quotePath makes p fit for one line of a terminal; what is too long to be read
// is cut.
func quotePath(p string) string {
	const most = 200
	if len(p) > most {
		return strconv.Quote(p[:most]) + "..."
	}
	return strconv.Quote(p)
}
