package backends

import (
	"path/filepath"
	"strings"

	"github.com/pinfs/pinfs/manifest"
)

// Normalize gives the URI that a person means. What has a scheme stays as it is;
// anything else is a path of this host and becomes "file://" + the cleaned
// absolute path, byte for byte: W&B decodes no percent signs there, so none are
// coded. KindInvalid for the empty string and NUL.
func Normalize(uri string) (string, error) {
	if uri == "" || strings.ContainsRune(uri, 0) {
		return "", Invalid("read", uri, "not a path or URI", "give a path, or a URI such as s3://bucket/prefix")
	}
	if manifest.Scheme(uri) != "" {
		return uri, nil
	}
	abs, err := filepath.Abs(uri)
	if err != nil {
		return "", Invalid("read", uri, "the working directory is gone: "+err.Error(), "give an absolute path")
	}
	return "file://" + abs, nil
}
