package backends_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/pinfs/pinfs/backends"
	"github.com/pinfs/pinfs/manifest"
)

// shelf is a source that lists by pages.
type shelf struct {
	names  []string // sorted
	size   int      // of a page
	repeat bool     // each page begins with the last name of the page before
	answer func(n int) error
	pause  time.Duration

	mu         sync.Mutex // guards all below
	asked      []backends.Ask
	now, peak  int
	firstEnded bool
	early      bool // a request came before the first one had ended
}

// page answers like an S3 server: objects and folders count alike.
func (s *shelf) page(ctx context.Context, a backends.Ask) (backends.Page[string], error) {
	n := s.begin(a)
	defer s.end()
	select {
	case <-time.After(s.pause):
	case <-ctx.Done():
		return backends.Page[string]{}, ctx.Err()
	}
	if s.answer != nil {
		if err := s.answer(n); err != nil {
			return backends.Page[string]{}, err
		}
	}
	lines := s.lines(a)
	from, _ := strconv.Atoi(a.Token)
	to := min(from+s.size, len(lines))
	var p backends.Page[string]
	if to < len(lines) {
		p.Next = strconv.Itoa(to)
	}
	if s.repeat && from > 0 {
		from--
	}
	for _, l := range lines[from:to] {
		if a.Level && l != a.Prefix && strings.HasSuffix(l, "/") {
			p.Folders = append(p.Folders, l)
		} else {
			p.Objects = append(p.Objects, l)
		}
	}
	return p, nil
}

func (s *shelf) lines(a backends.Ask) (lines []string) {
	start, _ := slices.BinarySearch(s.names, a.Prefix)
	for _, name := range s.names[start:] {
		rest, ok := strings.CutPrefix(name, a.Prefix)
		if !ok {
			break
		}
		if dir, _, deep := strings.Cut(rest, "/"); deep && a.Level {
			name = a.Prefix + dir + "/"
		}
		if len(lines) == 0 || lines[len(lines)-1] != name {
			lines = append(lines, name)
		}
	}
	return lines
}

func (s *shelf) begin(a backends.Ask) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.early = s.early || len(s.asked) == 1 && !s.firstEnded
	s.asked = append(s.asked, a)
	s.now++
	s.peak = max(s.peak, s.now)
	return len(s.asked)
}

func (s *shelf) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.firstEnded = true
	s.now--
}

func (s *shelf) tree(limit int) backends.Tree[string] {
	return backends.Tree[string]{URI: "x://b/d", Page: s.page, Name: func(name string) string { return name }, Limit: limit}
}

func (s *shelf) below(prefix string) (names []string) {
	for _, name := range s.names {
		if strings.HasPrefix(name, prefix) {
			names = append(names, name)
		}
	}
	return names
}

func shelve(size int, names ...string) *shelf {
	slices.Sort(names)
	return &shelf{names: slices.Compact(names), size: size}
}

// TestTreeGivesAll compares random trees with what is listed of them: each name
// once, markers and doubled slashes too, never more requests at once than allowed.
func TestTreeGivesAll(t *testing.T) {
	part := rapid.SampledFrom([]string{"a", "b", "a-", "a0", "", "é", "zz", "\U0010FFFF"})
	name := rapid.Custom(func(t *rapid.T) string {
		return strings.Join(rapid.SliceOfN(part, 1, 5).Draw(t, "parts"), "/")
	}).Filter(func(name string) bool { return name != "" })
	rapid.Check(t, func(t *rapid.T) {
		s := shelve(rapid.IntRange(1, 20).Draw(t, "page"), rapid.SliceOfN(name, 0, 120).Draw(t, "names")...)
		s.repeat = s.size > 1 && rapid.Bool().Draw(t, "repeat")
		prefix := rapid.SampledFrom([]string{"", "a/", "b/a/", "nothing/"}).Draw(t, "prefix")
		limit := rapid.IntRange(1, 5).Draw(t, "limit")
		var got []string
		var inside int
		err := s.tree(limit).List(t.Context(), prefix, func(name string) error {
			inside++
			got = append(got, name)
			if inside != 1 {
				t.Errorf("fn was called while it ran")
			}
			inside--
			return nil
		})
		slices.Sort(got)
		if want := s.below(prefix); err != nil || !slices.Equal(got, want) {
			t.Errorf("got %q, %v, want %q", got, err, want)
		}
		if s.peak > limit || s.early {
			t.Errorf("%d requests at once, want at most %d; early %v", s.peak, limit, s.early)
		}
	})
}

func wantTreeKind(t *testing.T, err error, kind manifest.Kind) {
	t.Helper()
	if manifest.KindOf(err) != kind || !strings.Contains(err.Error(), "list: x://b") {
		t.Errorf("got %v, want %q", err, kind)
	}
}

// TestTreeFails ends listings by an error of a request, of fn, or of the context.
func TestTreeFails(t *testing.T) {
	var names []string
	for i := range 3000 {
		names = append(names, fmt.Sprintf("%d/%d/%d", i%3, i%7, i))
	}
	refused, enough := errors.New("refused"), errors.New("enough")
	for at := range 60 {
		s := shelve(20, names...)
		s.answer = func(n int) error {
			if n == at+1 {
				return refused
			}
			return nil
		}
		if err := s.tree(4).List(t.Context(), "", func(string) error { return nil }); err != refused {
			t.Errorf("request %d fails: got %v", at, err)
		}
		s.answer = nil
		calls := 0
		err := s.tree(4).List(t.Context(), "", func(string) error {
			if calls++; calls > 13*at {
				return enough
			}
			return nil
		})
		if err != enough || calls != 13*at+1 {
			t.Errorf("call %d fails: got %v after %d calls", 13*at+1, err, calls)
		}
		ctx, cancel := context.WithCancel(t.Context())
		calls = 0
		err = s.tree(4).List(ctx, "", func(string) error {
			if calls++; calls > 13*at {
				cancel()
			}
			return nil
		})
		wantTreeKind(t, err, manifest.KindCanceled)
		if calls != 13*at+1 {
			t.Errorf("got %d calls, cancelled at %d", calls, 13*at+1)
		}
		cancel()
	}
}

// TestTreeWaitsForNobody: a context ends a request that hangs, and a slow fn makes
// no more than two pages for each request wait.
func TestTreeWaitsForNobody(t *testing.T) {
	s := shelve(10, folders(40, 40)...)
	s.pause = time.Hour
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	wantTreeKind(t, s.tree(4).List(ctx, "", func(string) error { return nil }), manifest.KindTimeout)

	s = shelve(10, folders(40, 40)...)
	given := 0
	err := s.tree(4).List(t.Context(), "", func(string) error {
		if given++; given == 100 {
			time.Sleep(50 * time.Millisecond) // others could fetch all meanwhile
			s.mu.Lock()
			defer s.mu.Unlock()
			if n := len(s.asked); n > 60 {
				t.Errorf("%d pages were fetched for 100 objects", n)
			}
		}
		return nil
	})
	if err != nil || given != 1600 {
		t.Errorf("got %d objects, %v", given, err)
	}
}

func folders(n, each int) (names []string) {
	for i := range n * each {
		names = append(names, fmt.Sprintf("%04d/%06d", i/each, i))
	}
	return names
}

// TestTreeRequests counts the requests of typical trees.
func TestTreeRequests(t *testing.T) {
	deep := folders(20, 750)
	for i := range deep {
		deep[i] = "train/" + deep[i]
	}
	for name, c := range map[string]struct {
		names       []string
		want        int
		level       bool // by level at all
		moreAtATime bool
	}{
		"nothing":                {nil, 1, false, false},
		"a page":                 {folders(10, 100), 1, false, false},
		"one flat folder":        {folders(1, 9500), 12, true, true}, // its parent is split once
		"no folder":              {slices.Collect(numbers(9500)), 10, false, false},
		"20 of 750":              {folders(20, 750), 22, true, true},
		"20 of 750 in the depth": {deep, 24, true, true},
		"5,000 tiny":             {folders(5000, 2), 10, false, false},
		"4 of 2,500":             {folders(4, 2500), 14, true, true},
	} {
		t.Run(name, func(t *testing.T) {
			s := shelve(1000, c.names...)
			s.pause = time.Millisecond
			got := 0
			err := s.tree(0).List(t.Context(), "", func(string) error { got++; return nil })
			if err != nil || got != len(c.names) || len(s.asked) != c.want {
				t.Errorf("%d objects by %d requests, %v; want %d by %d", got, len(s.asked), err, len(c.names), c.want)
			}
			if level := slices.ContainsFunc(s.asked, func(a backends.Ask) bool { return a.Level }); level != c.level {
				t.Errorf("by level: %v", level)
			}
			if s.peak > backends.TreeRequests || c.moreAtATime && c.want > 15 && s.peak < 2 {
				t.Errorf("%d requests at once", s.peak)
			}
		})
	}
}

func numbers(n int) func(func(string) bool) {
	return func(yield func(string) bool) {
		for i := range n {
			if !yield(fmt.Sprintf("%06d", i)) {
				return
			}
		}
	}
}

// TestTreeIsBounded: more folders than may wait are listed all the same.
func TestTreeIsBounded(t *testing.T) {
	names := folders(3, 10)
	for i := range 9000 {
		names = append(names, fmt.Sprintf("big/%05d/x", i))
	}
	// The first pages show few folders, so that the tree is listed by level.
	for i := range 600 {
		names = append(names, fmt.Sprintf("big/00000/%03d", i))
	}
	s := shelve(500, names...)
	got := 0
	err := s.tree(2).List(t.Context(), "", func(string) error { got++; return nil })
	if err != nil || got != len(names) {
		t.Errorf("got %d, %v, want %d", got, err, len(names))
	}
}

// TestTreeDistrusts: a server that goes round in circles ends nowhere, but ends.
func TestTreeDistrusts(t *testing.T) {
	same := backends.Tree[string]{URI: "x://b", Name: strings.Clone, Page: func(context.Context, backends.Ask) (backends.Page[string], error) {
		return backends.Page[string]{Objects: []string{"a"}, Next: "again"}, nil
	}}
	wantTreeKind(t, same.List(t.Context(), "", func(string) error { return nil }), manifest.KindUnreachable)
	var got []string
	odd := backends.Tree[string]{URI: "x://b", Name: strings.Clone, Page: func(_ context.Context, a backends.Ask) (backends.Page[string], error) {
		if !a.Level && a.Token == "" {
			return backends.Page[string]{Objects: []string{"d/a/1", "other/1"}, Next: "1"}, nil
		}
		return backends.Page[string]{Objects: []string{"d/x"}, Folders: []string{"d/", "", "e/"}}, nil
	}}
	err := odd.List(t.Context(), "d/", func(name string) error { got = append(got, name); return nil })
	if err != nil || !slices.Equal(got, []string{"d/x"}) {
		t.Errorf("got %q, %v", got, err)
	}
}
