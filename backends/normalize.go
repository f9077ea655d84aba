package backends

import (
	"path/filepath"
	"strings"
)

// Normalize gives the URI that a person means. What has a scheme stays as it is;
// anything else is a path of this host and becomes "file://" + the cleaned
// absolute path, byte for byte: W&B decodes no percent signs there, so none are
// coded. KindInvalid for the empty string and NUL.
func Normalize(uri string) (string, error) {
	if uri == "" || strings.ContainsRune(uri, 0) {
		return "", Invalid("read", uri, "not a path or URI", "give a path, or a URI such as s3://bucket/prefix")
	}
	if scheme, _, ok := strings.Cut(uri, "://"); ok && isScheme(scheme) {
		return uri, nil
	}
	abs, err := filepath.Abs(uri)
	if err != nil {
		return "", Invalid("read", uri, "the working directory is gone: "+err.Error(), "give an absolute path")
	}
	return "file://" + abs, nil
}

// isScheme tells whether s is a scheme by RFC 3986, section 3.1.
func isScheme(s string) bool {
	for i, c := range []byte(strings.ToLower(s)) {
		letter := 'a' <= c && c <= 'z'
		if !letter && (i == 0 || !strings.ContainsRune("0123456789+-.", rune(c))) {
			return false
		}
	}
	return s != ""
}
