package manifest_test

import (
	"math"
	"reflect"
	"strconv"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/pinfs/pinfs/manifest"
)

func TestParseName(t *testing.T) {
	long := strings.Repeat("a", 255)
	for _, c := range []struct {
		text string
		want manifest.Name
		err  string // "" or part of the error
	}{
		{"mnist", manifest.Name{Artifact: "mnist"}, ""},
		{"mnist:v3", manifest.Name{Artifact: "mnist", Version: "v3"}, ""},
		{"vision/mnist", manifest.Name{Project: "vision", Artifact: "mnist"}, ""},
		{"vision/mnist:best", manifest.Name{Project: "vision", Artifact: "mnist", Version: "best"}, ""},
		{"mnist:latest", manifest.Name{Artifact: "mnist", Version: "latest"}, ""},
		{"mnist:64e7c61456b10382e2f3b571ac24b659", manifest.Name{Artifact: "mnist", Version: "64e7c61456b10382e2f3b571ac24b659"}, ""},
		{"my data set:best one", manifest.Name{Artifact: "my data set", Version: "best one"}, ""},
		{"données/mnist é+%#?", manifest.Name{Project: "données", Artifact: "mnist é+%#?"}, ""},
		{".hidden/-x..y", manifest.Name{Project: ".hidden", Artifact: "-x..y"}, ""},
		{long, manifest.Name{Artifact: long}, ""},

		{"", manifest.Name{}, "empty artifact name"},
		{":v0", manifest.Name{}, "empty artifact name"},
		{"mnist:", manifest.Name{}, "empty version"},
		{"/mnist", manifest.Name{}, "empty project"},
		{"vision/", manifest.Name{}, "empty artifact name"},
		{"vision/:v0", manifest.Name{}, "empty artifact name"},
		{"acme/vision/mnist", manifest.Name{}, "more than one '/'"},
		{"mnist:v0/x", manifest.Name{}, "project with '/' or ':'"},
		{"mnist:v0:v1", manifest.Name{}, "version with '/' or ':'"},
		{".", manifest.Name{}, "may not be '.'"},
		{"../mnist", manifest.Name{}, "may not be '..'"},
		{"mnist:..", manifest.Name{}, "may not be '..'"},
		{" mnist", manifest.Name{}, "begins or ends with space"},
		{"mnist :v0", manifest.Name{}, "begins or ends with space"},
		{"mnist\u00a0", manifest.Name{}, "begins or ends with space"},
		{"mnist\n", manifest.Name{}, "begins or ends with space"},
		{"mn\x00ist", manifest.Name{}, "control character"},
		{"mn\x1b[31mist", manifest.Name{}, "control character"},
		{"mn\u202eist", manifest.Name{}, "control character"},
		{"mn\u2028ist", manifest.Name{}, "control character"},
		{"mn\xffist", manifest.Name{}, "not UTF-8"},
		{long + "a", manifest.Name{}, "256 bytes"},
	} {
		t.Run(c.text, func(t *testing.T) {
			got, err := manifest.ParseName(c.text)
			checkError(t, err, c.err)
			if got != c.want {
				t.Errorf("got %+v, want %+v", got, c.want)
			}
			if err == nil && got.String() != c.text {
				t.Errorf("got %q from String, want %q", got.String(), c.text)
			}
		})
	}
}

func TestParseNamePath(t *testing.T) {
	for _, c := range []struct{ text, project, artifact, version, path, err string }{
		{"a", "", "a", "", "", ""},
		{"p/a", "p", "a", "", "", ""},
		{"a:v0", "", "a", "v0", "", ""},
		{"a:v0/", "", "a", "v0", "", ""},
		{"a:v0/x", "", "a", "v0", "x", ""},
		{"a:v0/x/y/", "", "a", "v0", "x/y", ""},
		{"a:v0/x:y/z:1", "", "a", "v0", "x:y/z:1", ""},
		{"p/a:v0", "p", "a", "v0", "", ""},
		{"p/a:v0/x y/é", "p", "a", "v0", "x y/é", ""},
		{"p/a:latest/x", "p", "a", "latest", "x", ""},
		{"a:v0/b:v1/c", "", "a", "v0", "b:v1/c", ""},

		{"p/a/x", "", "", "", "", "more than one '/'"},
		{"p/a/x:v0", "", "", "", "", "more than one '/'"},
		{"a/", "", "", "", "", "empty artifact name"},
		{"a:v0//", "", "", "", "", "empty path component"},
		{"a:v0//x", "", "", "", "", "absolute path"},
		{"a:v0/x//y", "", "", "", "", "empty component"},
		{"a:v0/x//", "", "", "", "", "empty component"},
		{"a:v0/../x", "", "", "", "", "'..' component"},
		{"a:v0/./x", "", "", "", "", "'.' component"},
		{"a:/x", "", "", "", "", "empty version"},
		{":v0/x", "", "", "", "", "empty artifact name"},
		{"a:v0/x\x00", "", "", "", "", "NUL"},
		{"", "", "", "", "", "empty artifact name"},
	} {
		t.Run(c.text, func(t *testing.T) {
			name, path, err := manifest.ParseNamePath(c.text)
			checkError(t, err, c.err)
			want := manifest.Name{Project: c.project, Artifact: c.artifact, Version: c.version}
			if name != want || path != c.path {
				t.Errorf("got %+v and %q, want %+v and %q", name, path, want, c.path)
			}
		})
	}
}

func TestIndex(t *testing.T) {
	for _, c := range []struct {
		version string
		want    int
		ok      bool
	}{
		{"v0", 0, true}, {"v3", 3, true}, {"v2147483647", math.MaxInt32, true},
		{"v2147483648", 0, false}, {"v99999999999999999999", 0, false},
		{"", 0, false}, {"v", 0, false}, {"3", 0, false}, {"V3", 0, false}, {"v03", 0, false}, {"v+3", 0, false},
		{"v-0", 0, false}, {"v-1", 0, false}, {"v1_0", 0, false}, {"v3 ", 0, false}, {"v٣", 0, false}, {"best", 0, false}, {"latest", 0, false},
	} {
		if got, ok := (manifest.Name{Artifact: "a", Version: c.version}).Index(); got != c.want || ok != c.ok {
			t.Errorf("%q: got %d, %v, want %d, %v", c.version, got, ok, c.want, c.ok)
		}
	}
}

func TestCheckNames(t *testing.T) {
	for _, c := range []struct{ text, err string }{
		{"mnist", ""}, {"A-z_0.9", ""}, {"v3", ""}, {"latest", ""}, {"...", ""}, {strings.Repeat("a", 128), ""},
		{"", "empty"}, {".", "may not be"}, {"..", "may not be"}, {strings.Repeat("a", 129), "129 bytes"},
		{"a b", "with ' '"}, {"a/b", "'/'"}, {"a:b", "':'"}, {"é", "with 'é'"}, {"a\n", "space"}, {"a\x00", "control"}, {"a\xff", "UTF-8"}, {"a+", "with '+'"},
	} {
		checkError(t, manifest.CheckArtifact(c.text), c.err)
		checkError(t, manifest.CheckProject(c.text), c.err)
	}
}

func TestCheckAlias(t *testing.T) {
	for _, c := range []struct{ text, err string }{
		{"best", ""}, {"a b", ""}, {"été", ""}, {"Latest", ""}, {"v", ""}, {"v1.2", ""}, {"V3", ""}, {"version3", ""}, {"2024-01-01", ""},
		{"deadbeef", ""}, {strings.Repeat("a", 126), ""}, {strings.Repeat("0", 31), ""},
		{"latest", "always the newest"}, {"v0", "version number"}, {"v03", "version number"}, {"v99999999999999999999", "version number"},
		{"64e7c61456b10382e2f3b571ac24b659", "digest"},
		{"", "empty"}, {"..", "may not be"}, {"a/b", "'/'"}, {"a:b", "':'"}, {" a", "space"}, {"a\t", "space"}, {"a\x7f", "control"}, {"\xff", "UTF-8"},
		{strings.Repeat("a", 127), "127 bytes"},
	} {
		t.Run(c.text, func(t *testing.T) { checkError(t, manifest.CheckAlias(c.text), c.err) })
	}
}

func TestCheckType(t *testing.T) {
	for _, c := range []struct{ text, err string }{
		{"dataset", ""}, {"raw data", ""}, {"latest", ""}, {"v1", ""}, {strings.Repeat("a", 128), ""},
		{"", "empty"}, {"a/b", "'/'"}, {"a:b", "':'"}, {"a\nb", "control"}, {strings.Repeat("a", 129), "129 bytes"},
	} {
		t.Run(c.text, func(t *testing.T) { checkError(t, manifest.CheckType(c.text), c.err) })
	}
}

// What may be made can be named, also together with a path.
func TestWhatIsMadeCanBeNamed(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		plain := rapid.StringMatching(`[A-Za-z0-9_.-]{1,128}`).Filter(func(s string) bool { return s != "." && s != ".." })
		n := manifest.Name{Artifact: plain.Draw(t, "artifact")}
		if rapid.Bool().Draw(t, "has project") {
			n.Project = plain.Draw(t, "project")
		}
		if err := manifest.CheckArtifact(n.Artifact); err != nil {
			t.Fatal(err)
		}
		if index := rapid.IntRange(-1, math.MaxInt32).Draw(t, "index"); index >= 0 {
			n.Version = "v" + strconv.Itoa(index)
			if got, ok := n.Index(); got != index || !ok {
				t.Fatalf("got %d, %v from Index, want %d", got, ok, index)
			}
		} else if alias := rapid.String().Draw(t, "alias"); manifest.CheckAlias(alias) == nil {
			n.Version = alias
		}
		if got, err := manifest.ParseName(n.String()); err != nil || got != n {
			t.Fatalf("got %+v (%v), want %+v", got, err, n)
		}
		if n.Version == "" {
			return
		}
		path := rapid.StringMatching(`([a-z :.]{1,3}/){0,3}[a-z:]{1,3}`).Filter(func(s string) bool { return manifest.CheckPath(s) == nil }).Draw(t, "path")
		got, gotPath, err := manifest.ParseNamePath(n.String() + "/" + path)
		if err != nil || got != n || gotPath != path {
			t.Fatalf("got %+v and %q (%v), want %+v and %q", got, gotPath, err, n, path)
		}
	})
}

func TestNear(t *testing.T) {
	for _, c := range []struct {
		want string
		have []string
		near []string
	}{
		{"mnist", []string{"cifar", "mnits", "MNIST", "mnist2", "imagenet"}, []string{"MNIST", "mnist2", "mnits"}},
		{"mnist", []string{"minst", "mnst", "mist", "nist"}, []string{"minst", "mist", "mnst"}},
		{"a", []string{"b", "bc", "ab"}, []string{"ab", "b"}},
		{"données", []string{"donnees", "x"}, []string{"donnees"}},
		{"best", []string{"best"}, nil},
		{"mnist", []string{"mnits", "mnits"}, []string{"mnits"}},
		{"mnist", nil, nil},
		{"", []string{"a", "bb"}, []string{"a"}},
		{"training-set", []string{"trainingset", "training_sets", "test-set"}, []string{"trainingset", "training_sets"}},
	} {
		if got := manifest.Near(c.want, c.have); !reflect.DeepEqual(got, c.near) {
			t.Errorf("%q in %q: got %q, want %q", c.want, c.have, got, c.near)
		}
	}
}

// The distance is judged by what makes it: so many edits are near enough.
func TestNearFindsEdits(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := rapid.StringMatching(`[a-z]{3,12}`).Draw(t, "want")
		name := []byte(want)
		for range rapid.IntRange(1, len(want)/3).Draw(t, "edits") {
			i := rapid.IntRange(0, len(name)-1).Draw(t, "where")
			switch rapid.IntRange(0, 2).Draw(t, "kind") {
			case 0:
				name[i] = 'x'
			case 1:
				name = append(name[:i:i], append([]byte("y"), name[i:]...)...)
			case 2:
				name = append(name[:i:i], name[i+1:]...)
			}
		}
		if string(name) == want {
			return
		}
		far := strings.Repeat("#", len(want))
		if got := manifest.Near(want, []string{far, string(name)}); len(got) != 1 || got[0] != string(name) {
			t.Fatalf("got %q, want %q", got, name)
		}
	})
}
