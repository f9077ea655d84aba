package snapshot

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"strconv"
	"strings"
	"time"

	"github.com/pinfs/pinfs/manifest"
)

// Flags of blobs; doc.go has the format.
const (
	refMask  = 3
	refNone  = 0
	refPath  = 1
	refTail  = 2
	refText  = 3
	refShift = 0

	digestShift = 2
	digestMask  = 7
	digestNone  = 0
	digestText  = 1
	digestHex   = 2
	digestParts = 3
	digestB64   = 4
	digestRef   = 5
	digestHex32 = 6

	etagShift  = 5
	etagMask   = 3
	etagNone   = 0
	etagDigest = 1
	etagQuoted = 2
	etagText   = 3

	versionShift  = 7
	versionMask   = 7
	versionNone   = 0
	versionText   = 1
	versionUUID   = 2
	versionNumber = 3
	versionPacked = 4

	blobRest       = 1 << 10
	blobBirth      = 1 << 11
	blobSkip       = 1 << 12
	blobWide       = 1 << 13
	blobEmptyExtra = 1 << 14
	blobMark       = 1 << 15
)

func appendText[T string | []byte](b []byte, s T) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

// appendFields adds all fields of e after the reference and gives their flags.
func appendFields(b []byte, e *manifest.Entry) ([]byte, uint16, error) {
	b, flags := appendDigest(b, e)
	rest := len(e.Extra)
	if tag, ok := e.Extra[manifest.ExtraETag].(string); ok {
		var mode uint16
		b, mode = appendETag(b, tag, e.Digest)
		flags |= mode
		rest--
	}
	if v, ok := e.Extra[manifest.ExtraVersion]; ok {
		var mode uint16
		if b, mode = appendVersion(b, v); mode != 0 {
			flags |= mode
			rest--
		}
	}
	if rest > 0 {
		raw, err := restJSON(e.Extra, flags)
		if err != nil {
			bad := invalid(e.Path, "extra is no JSON")
			bad.Err = err
			return b, 0, bad
		}
		b = appendText(b, raw)
		flags |= blobRest
	}
	if e.Extra != nil && len(e.Extra) == 0 {
		flags |= blobEmptyExtra
	}
	if e.BirthArtifactID != "" {
		b = appendText(b, e.BirthArtifactID)
		flags |= blobBirth
	}
	if e.SkipCache {
		flags |= blobSkip
	}
	if isWide(e.ModTime) {
		b = binary.AppendVarint(b, e.ModTime.Unix())
		b = binary.AppendUvarint(b, uint64(e.ModTime.Nanosecond()))
		flags |= blobWide
	}
	return b, flags | blobMark, nil
}

// isWide tells a time that ns in an int64 can't hold.
func isWide(t time.Time) bool {
	return !t.IsZero() && !time.Unix(0, t.UnixNano()).Equal(t)
}

func appendDigest(b []byte, e *manifest.Entry) ([]byte, uint16) {
	d := e.Digest
	switch {
	case d == "":
		return b, digestNone << digestShift
	case d == e.Ref:
		return b, digestRef << digestShift
	case len(d) == 32 && isHex(d):
		return appendHex(b, d), digestHex << digestShift
	case len(d) == 64 && isHex(d):
		return appendHex(b, d), digestHex32 << digestShift
	case len(d) == 24:
		if raw, ok := fromBase64(d); ok {
			return append(b, raw...), digestB64 << digestShift
		}
	case len(d) > 33 && d[32] == '-' && isHex(d[:32]):
		if n, ok := plainNumber(d[33:]); ok {
			return binary.AppendUvarint(appendHex(b, d[:32]), n), digestParts << digestShift
		}
	}
	return appendText(b, d), digestText << digestShift
}

func appendETag(b []byte, tag, digest string) ([]byte, uint16) {
	switch {
	case tag == digest:
		return b, etagDigest << etagShift
	case len(tag) == len(digest)+2 && tag[0] == '"' && tag[1:len(tag)-1] == digest && tag[len(tag)-1] == '"':
		return b, etagQuoted << etagShift
	}
	return appendText(b, tag), etagText << etagShift
}

// appendVersion gives mode 0 for a value that must go with the rest of extra.
func appendVersion(b []byte, v any) ([]byte, uint16) {
	switch v := v.(type) {
	case json.Number:
		if n, ok := plainNumber(string(v)); ok {
			return binary.AppendUvarint(b, n), versionNumber << versionShift
		}
	case string:
		if isUUID(v) {
			return appendHex(b, strings.ReplaceAll(v, "-", "")), versionUUID << versionShift
		}
		if packable(v) {
			return appendPacked(b, v), versionPacked << versionShift
		}
		return appendText(b, v), versionText << versionShift
	}
	return b, versionNone
}

// restJSON is extra without what flags tell is kept elsewhere.
func restJSON(extra map[string]any, flags uint16) ([]byte, error) {
	rest := make(map[string]any, len(extra))
	for k, v := range extra {
		switch {
		case k == manifest.ExtraETag && flags>>etagShift&etagMask != etagNone:
		case k == manifest.ExtraVersion && flags>>versionShift&versionMask != versionNone:
		default:
			rest[k] = v
		}
	}
	return compactJSON(rest)
}

func isHex(s string) bool {
	for i := range len(s) {
		if c := s[i]; (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}

func appendHex(b []byte, s string) []byte {
	for i := 0; i < len(s); i += 2 {
		b = append(b, nibble(s[i])<<4|nibble(s[i+1]))
	}
	return b
}

func nibble(c byte) byte {
	if c >= 'a' {
		return c - 'a' + 10
	}
	return c - '0'
}

// fromBase64 decodes 16 bytes whose text comes out the same again.
func fromBase64(s string) ([]byte, bool) {
	raw, err := base64.StdEncoding.Strict().DecodeString(s)
	return raw, err == nil && len(raw) == 16 && !strings.ContainsAny(s, "\r\n")
}

// plainNumber parses a decimal that comes out the same again: no sign, no zero in front.
func plainNumber(s string) (uint64, bool) {
	if s == "" || (s[0] == '0' && s != "0") || s[0] == '+' {
		return 0, false
	}
	n, err := strconv.ParseUint(s, 10, 64)
	return n, err == nil
}

func isUUID(s string) bool {
	return len(s) == 36 && s[8] == '-' && s[13] == '-' && s[18] == '-' && s[23] == '-' &&
		isHex(s[:8]) && isHex(s[9:13]) && isHex(s[14:18]) && isHex(s[19:23]) && isHex(s[24:])
}

func appendUUIDText(b []byte, raw []byte) []byte {
	for i, n := range [5]int{4, 2, 2, 2, 6} {
		if i > 0 {
			b = append(b, '-')
		}
		b = hex.AppendEncode(b, raw[:n])
		raw = raw[n:]
	}
	return b
}
