package manifest_test

import (
	"testing"

	"github.com/pinfs/pinfs/manifest"
)

// The vectors are W&B's own.
func TestHasherVectors(t *testing.T) {
	for _, c := range []struct{ name, path, digest, want string }{
		{"no entries", "", "", "64e7c61456b10382e2f3b571ac24b659"},
		{"md5", "file1.txt", "XUFAKrxLKna5cZ2REBfFkg==", "a00c2239f036fb656c1dcbf9a32d89b4"},
		{"odd", "my_object.pb", "1234567890abcde", "8aec0d6978da8c2b0bf5662b3fd043a4"},
		{"short", "file1.txt", "abc", "48237ccc050a88af9dcd869dd5a7e9f4"},
		{"uri", "ref", "ref://example.com/somefile.txt", "410ade94865e89ebe1f593f4379ac228"},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := manifest.NewHasher()
			if c.path != "" {
				if err := h.Add(c.path, c.digest); err != nil {
					t.Fatal(err)
				}
			}
			if got := h.Sum(); got != c.want {
				t.Errorf("got %s, want %s", got, c.want)
			}
			if again := h.Sum(); again != c.want {
				t.Errorf("second Sum: got %s, want %s", again, c.want)
			}
		})
	}
}

func TestHasherOrder(t *testing.T) {
	for _, c := range []struct {
		name, first, second string
		ok                  bool
	}{
		{"ascending", "a", "b", true},
		{"bytes, not components", "a!", "a/b", true},
		{"upper before lower", "B", "a", true},
		{"UTF-8 by bytes", "z", "\u00e9", true},
		{"bytes, not UTF-16", "\uffee", "\U00010000", true},
		{"descending", "b", "a", false},
		{"twice", "a", "a", false},
		{"prefix after", "ab", "a", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := manifest.NewHasher()
			if err := h.Add(c.first, "d"); err != nil {
				t.Fatal(err)
			}
			before := h.Sum()
			err := h.Add(c.second, "d")
			if c.ok && err != nil {
				t.Fatalf("got %v, want no error", err)
			}
			if !c.ok && (manifest.KindOf(err) != manifest.KindInvalid || h.Sum() != before) {
				t.Errorf("got %v and sum %s, want KindInvalid and the sum before, %s", err, h.Sum(), before)
			}
		})
	}
}

// An empty path is in no manifest, but "nothing was added yet" must not be
// mistaken for it.
func TestHasherEmptyPathTwice(t *testing.T) {
	h := manifest.NewHasher()
	if err := h.Add("", "d"); err != nil {
		t.Fatal(err)
	}
	if err := h.Add("", "d"); manifest.KindOf(err) != manifest.KindInvalid {
		t.Errorf("got %v, want KindInvalid", err)
	}
}
