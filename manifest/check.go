package manifest

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Limits of names, in bytes. An artifact and an alias together, "name:alias", are
// a file name of a mount, which has at most 255.
const (
	maxName  = 128
	maxAlias = 126
	maxPart  = 255
)

// CheckProject tells whether a project of that name may be made: 1 to 128 of
// A-Z a-z 0-9 _ . -, and not "." or "..". KindInvalid if not.
func CheckProject(s string) error { return checkNew("project", s) }

// CheckArtifact tells whether an artifact of that name may be made; the rule is
// CheckProject's (and W&B's). Names that exist elsewhere may break it, see
// ParseName. KindInvalid if not.
func CheckArtifact(s string) error { return checkNew("artifact name", s) }

func checkNew(what, s string) error {
	if err := checkPart(s, what, s); err != nil {
		return err
	}
	if len(s) > maxName {
		return badName(s, "%s of %d bytes; the most is %d", what, len(s), maxName)
	}
	if bad := strings.IndexFunc(s, notPlain); bad >= 0 {
		r, _ := utf8.DecodeRuneInString(s[bad:])
		return badName(s, "%s with %q; it may hold letters A-Z a-z, digits, '_', '.' and '-'", what, r)
	}
	return nil
}

func notPlain(r rune) bool {
	switch {
	case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9':
		return false
	}
	return r != '_' && r != '.' && r != '-'
}

// CheckAlias tells whether s may become an alias: at most 126 bytes of UTF-8
// without '/', ':', control characters or space at its ends. It may not look like
// a version (vN) or a manifest digest (32 hex digits), nor be "latest", which is
// computed. KindInvalid if not.
func CheckAlias(s string) error {
	if err := checkPart(s, "alias", s); err != nil {
		return err
	}
	switch {
	case s == Latest:
		return badName(s, "the alias 'latest' is always the newest version and can't be set")
	case looksLikeVersion(s):
		return badName(s, "an alias may not look like a version number")
	case looksLikeDigest(s):
		return badName(s, "an alias may not look like a digest")
	case len(s) > maxAlias:
		return badName(s, "alias of %d bytes; the most is %d", len(s), maxAlias)
	}
	return nil
}

// CheckType tells whether s may be the type of an artifact: 1 to 128 bytes of
// UTF-8 without '/', ':', control characters or space at its ends. KindInvalid
// if not.
func CheckType(s string) error {
	if err := checkPart(s, "type", s); err != nil {
		return err
	}
	if len(s) > maxName {
		return badName(s, "type of %d bytes; the most is %d", len(s), maxName)
	}
	return nil
}

// checkPart holds the rules that every part of a name keeps, whoever made it;
// whole is what errors name.
func checkPart(whole, what, part string) error {
	switch {
	case part == "":
		return badName(whole, "empty %s", what)
	case part == "." || part == "..":
		return badName(whole, "%s may not be '%s'", what, part)
	case len(part) > maxPart:
		return badName(whole, "%s of %d bytes; the most is %d", what, len(part), maxPart)
	case !utf8.ValidString(part):
		return badName(whole, "%s is not UTF-8", what)
	case strings.ContainsAny(part, "/:"):
		return badName(whole, "%s with '/' or ':'", what)
	case strings.TrimSpace(part) != part:
		return badName(whole, "%s begins or ends with space", what)
	case strings.ContainsFunc(part, unseen):
		return badName(whole, "%s with a control character", what)
	}
	return nil
}

// unseen is true for what changes a terminal or hides in a name: controls, and
// the marks that turn the direction of text around.
func unseen(r rune) bool {
	return unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) || r == '\u2028' || r == '\u2029' || r == '\ufeff'
}

func looksLikeVersion(s string) bool {
	digits, ok := strings.CutPrefix(s, "v")
	return ok && digits != "" && strings.Trim(digits, "0123456789") == ""
}

// looksLikeDigest: MD5 and XXH128, the digests of manifests, are 32 hex digits.
func looksLikeDigest(s string) bool {
	return len(s) == 32 && strings.Trim(s, "0123456789abcdef") == ""
}

func badName(name, format string, args ...any) error {
	return &Error{Kind: KindInvalid, Op: "check name", Ref: quotePath(name), Msg: fmt.Sprintf(format, args...)}
}
