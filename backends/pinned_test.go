package backends_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/pinfs/pinfs/backends"
	"github.com/pinfs/pinfs/manifest"
)

// TestElsewhere: which place is tried when, and whose error counts.
func TestElsewhere(t *testing.T) {
	gone, denied := &manifest.Error{Kind: manifest.KindGone}, &manifest.Error{Kind: manifest.KindDenied}
	lost := errors.New("nobody knows")
	for name, c := range map[string]struct {
		there  map[string]error // what trying a place gives
		older  string
		search error
		want   error
		tried  string
	}{
		"at once":           {map[string]error{"": nil}, "v1", nil, nil, "[]"},
		"older":             {map[string]error{"": gone, "v1": nil}, "v1", nil, nil, "[ v1]"},
		"nowhere":           {map[string]error{"": gone}, "", nil, gone, "[]"},
		"gone there too":    {map[string]error{"": gone, "v1": gone}, "v1", nil, gone, "[ v1]"},
		"search fails":      {map[string]error{"": gone}, "", lost, lost, "[]"},
		"no reason to look": {map[string]error{"": denied}, "v1", nil, denied, "[]"},
	} {
		t.Run(name, func(t *testing.T) {
			var tried []string
			_, err := backends.Elsewhere("", func(at string) (int, error) {
				tried = append(tried, at)
				return 0, c.there[at]
			}, func() (string, error) { return c.older, c.search })
			if !errors.Is(err, c.want) || err != nil && c.want == nil || fmt.Sprint(tried) != c.tried {
				t.Errorf("tried %q, error %v; want %q, %v", tried, err, c.tried, c.want)
			}
		})
	}
}

// TestFoundIsBounded: it never holds more than it may, and has what came last.
func TestFoundIsBounded(t *testing.T) {
	var f backends.Found[int]
	const n = 10_000
	for i := range n {
		f.Put(fmt.Sprint(i), "e", i)
		if got, ok := f.Get(fmt.Sprint(i), "e"); !ok || got != i {
			t.Fatalf("%d: got %d, %v", i, got, ok)
		}
	}
	known := 0
	for i := range n {
		if _, ok := f.Get(fmt.Sprint(i), "e"); ok {
			known++
		}
	}
	if known == 0 || known > 4096 {
		t.Errorf("%d are remembered", known)
	}
}
