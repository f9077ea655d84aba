package manifest_test

import (
	"path"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/pinfs/pinfs/manifest"
)

func TestCheckPath(t *testing.T) {
	name255 := strings.Repeat("n", 255)
	path4095 := strings.Repeat(name255+"/", 15) + name255
	for _, c := range []struct{ name, path, err string }{
		{"plain", "a", ""},
		{"deep", "a/b/c/d", ""},
		{"dots in names", "...", ""},
		{"hidden", ".a/..b/c..", ""},
		{"odd characters", "a b/+%#?&=\\:*\"'<>|\t\n", ""},
		{"Unicode", "\u00e9/e\u0301/\U0001f600", ""},
		{"no UTF-8", "a\xff/\xed\xa0\x80", ""},
		{"255 bytes", name255, ""},
		{"4095 bytes", path4095, ""},

		{"empty", "", "empty path"},
		{"root", "/", "absolute path"},
		{"absolute", "/a", "absolute path"},
		{"two slashes", "//a", "absolute path"},
		{"empty component", "a//b", `"a//b": path with an empty component`},
		{"at the end", "a/", "empty component"},
		{"dot", ".", "'.' component"},
		{"dot in front", "./a", "'.' component"},
		{"dot behind", "a/.", "'.' component"},
		{"up", "..", "'..' component"},
		{"up in the middle", "a/../b", "'..' component"},
		{"up behind", "a/..", "'..' component"},
		{"NUL", "a\x00b", `"a\x00b": path with a NUL byte`},
		{"256 bytes", "a/" + name255 + "n", "component of 256 bytes"},
		{"256 bytes of 128 letters", strings.Repeat("\u00e9", 128), "component of 256 bytes"},
		{"4096 bytes", path4095[:4093] + "/nn", "path of 4096 bytes"},
		{"a megabyte", strings.Repeat("a/", 1<<19), "path of 1048576 bytes"},
		{"escape in an error", "\x1b[31m/..", `"\x1b[31m/..": path with a '..'`},
	} {
		t.Run(c.name, func(t *testing.T) { checkError(t, manifest.CheckPath(c.path), c.err) })
	}
}

// A path that passes can't leave the directory it is joined to, and is the only
// way to write itself.
func TestCheckPathStaysInside(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := rapid.StringMatching(`[ab./\x00 ]{0,12}`).Draw(t, "path")
		inside := p != "" && p[0] != '/' && path.Clean(p) == p && p != "." && p != ".." && !strings.HasPrefix(p, "../") && !strings.Contains(p, "\x00")
		if err := manifest.CheckPath(p); (err == nil) != inside {
			t.Fatalf("%q: got %v, want an error: %v", p, err, !inside)
		}
	})
}
