package registry

import (
	"fmt"
	"path/filepath"
	"strings"

	"github.com/pinfs/pinfs/manifest"
)

// maxComponent is the longest file name that Linux file systems take, in bytes.
const maxComponent = 255

// path gives the file of a key.
func (d *DirStore) path(op, key string) (string, error) {
	parts := strings.Split(key, "/")
	for i, part := range parts {
		if part == "" || part == "." || part == ".." {
			return "", &manifest.Error{Kind: manifest.KindInvalid, Op: op, Ref: key, Msg: "a key has no empty, '.' or '..' component"}
		}
		parts[i] = escape(part)
		if len(parts[i]) > maxComponent {
			return "", &manifest.Error{Kind: manifest.KindInvalid, Op: op, Ref: key, Msg: "longer than a file name can be (255 bytes)"}
		}
	}
	return filepath.Join(d.dir, filepath.Join(parts...)), nil
}

// escape makes a file name of a component: control characters, '%', '/' and '\'
// become %XX, and so does a '.' at the beginning, which marks the store's own
// names and NFS's leftovers.
func escape(s string) string {
	var b strings.Builder
	for i := range len(s) {
		c := s[i]
		if c < 0x20 || c == 0x7f || c == '%' || c == '/' || c == '\\' || (c == '.' && i == 0) {
			fmt.Fprintf(&b, "%%%02X", c)
		} else {
			b.WriteByte(c)
		}
	}
	return b.String()
}

// unescape undoes escape; a name that escape does not make is none of ours.
func unescape(s string) (string, bool) {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] != '%' {
			b.WriteByte(s[i])
			continue
		}
		var c byte
		if len(s) < i+3 {
			return "", false
		}
		if _, err := fmt.Sscanf(s[i+1:i+3], "%02X", &c); err != nil {
			return "", false
		}
		b.WriteByte(c)
		i += 2
	}
	name := b.String()
	return name, escape(name) == s
}
