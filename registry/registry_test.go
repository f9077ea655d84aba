package registry_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pinfs/pinfs/manifest"
	"github.com/pinfs/pinfs/registry"
)

// fixture is a registry in a new folder, at a clock that stands still.
type fixture struct {
	*registry.Registry
	dir string
}

func newFixture(t testing.TB) fixture {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "registry")
	clock := func() time.Time { return time.Date(2026, 8, 1, 12, 0, 0, 123456789, time.UTC) }
	r, err := registry.Open(t.Context(), registry.NewDirStore(dir), registry.Options{Now: clock, By: "tester"})
	must(t, err)
	return fixture{r, dir}
}

func (f fixture) commit(t testing.TB, text string, change ...func(*registry.Commit)) registry.Version {
	t.Helper()
	v, _, err := commitText(t.Context(), f.Registry, text, change...)
	must(t, err)
	return v
}

func in(project, artifact string) func(*registry.Commit) {
	return func(c *registry.Commit) { c.Project, c.Artifact = project, artifact }
}

func aliased(names ...string) func(*registry.Commit) {
	return func(c *registry.Commit) { c.Aliases = names }
}

func name(t testing.TB, s string) manifest.Name {
	t.Helper()
	n, err := manifest.ParseName(s)
	must(t, err)
	return n
}

func (f fixture) want(t testing.TB, ref string, index int, aliases ...string) {
	t.Helper()
	v, err := f.Resolve(t.Context(), name(t, ref))
	if err != nil || v.Index != index || !slices.Equal(v.Aliases, aliases) {
		t.Errorf("resolve %s: got v%d with aliases %q, error %v; want v%d with %q", ref, v.Index, v.Aliases, err, index, aliases)
	}
}

func TestReadingMakesNothing(t *testing.T) {
	f, ctx := newFixture(t), t.Context()
	projects, err := f.Projects(ctx)
	if err != nil || len(projects) != 0 {
		t.Errorf("projects: got %q, error %v; want none", projects, err)
	}
	_, err = f.Resolve(ctx, name(t, "p/a"))
	wantKind(t, err, manifest.KindNotFound)
	_, err = f.Artifacts(ctx, "p")
	wantKind(t, err, manifest.KindNotFound)
	_, err = f.Versions(ctx, "p", "a")
	wantKind(t, err, manifest.KindNotFound)
	wantKind(t, f.SetAlias(ctx, name(t, "p/a"), "best"), manifest.KindNotFound)
	wantKind(t, f.RemoveAlias(ctx, "p", "a", "best"), manifest.KindNotFound)
	if _, err := os.Lstat(f.dir); !os.IsNotExist(err) {
		t.Errorf("got %v, want no registry made by reading", err)
	}
}

func TestCommitAndResolve(t *testing.T) {
	f := newFixture(t)
	v0 := f.commit(t, "zero", aliased("best", "latest"))
	f.commit(t, "one")
	f.commit(t, "two", aliased("best", "prod", "best"))
	f.want(t, "p/a", 2, "best", "latest", "prod")
	f.want(t, "p/a:latest", 2, "best", "latest", "prod")
	f.want(t, "p/a:best", 2, "best", "latest", "prod")
	f.want(t, "p/a:v0", 0)
	f.want(t, "p/a:v1", 1)
	f.want(t, "p/a:"+v0.Digest, 0)
	if v0.Name() != "a:v0" || v0.Files != 1 || v0.Size != 4 || v0.Type != "dataset" {
		t.Errorf("got %+v", v0)
	}
}

func TestEqualContentMakesNoVersion(t *testing.T) {
	f := newFixture(t)
	f.commit(t, "zero", aliased("best"))
	f.commit(t, "one")
	v, isNew, err := commitText(t.Context(), f.Registry, "one", aliased("best"))
	if err != nil || isNew || v.Index != 1 {
		t.Errorf("got %s, new %v, error %v; want a:v1, not new", v.Name(), isNew, err)
	}
	f.want(t, "p/a:v1", 1, "best", "latest")
	f.want(t, "p/a:v0", 0)
	// Only the latest counts, as in W&B: going back to old content is a version.
	v, isNew, err = commitText(t.Context(), f.Registry, "zero")
	if err != nil || !isNew || v.Index != 2 {
		t.Errorf("got %s, new %v, error %v; want a:v2, new", v.Name(), isNew, err)
	}
}

// Checksums, chunk digests and times are no part of the digest, but what is read is
// checked by them: other ones are another version.
func TestOtherPinsMakeAVersion(t *testing.T) {
	f := newFixture(t)
	pins := func(pins string) func(*registry.Commit) { return func(c *registry.Commit) { c.Summary.Pins = pins } }
	f.commit(t, "zero")
	key := filepath.Join(f.dir, "projects", "p", "a", "versions", "0.json")
	if record, err := os.ReadFile(key); err != nil || strings.Contains(string(record), "pins") {
		t.Errorf("got %s, %v, want a record as it was before there were pins", record, err)
	}
	for i, step := range []struct {
		pins  string
		index int
		isNew bool
	}{{"", 0, false}, {"aa", 1, true}, {"aa", 1, false}, {"bb", 2, true}, {"", 3, true}, {"", 3, false}} {
		preview, previewNew, err := previewText(t.Context(), f.Registry, "zero", pins(step.pins))
		must(t, err)
		v, isNew, err := commitText(t.Context(), f.Registry, "zero", pins(step.pins))
		must(t, err)
		if v.Index != step.index || isNew != step.isNew || v.Pins != step.pins || v.Digest == "" {
			t.Errorf("step %d: got %s with pins %q, new %v, want v%d, %q, %v", i, v.Name(), v.Pins, isNew, step.index, step.pins, step.isNew)
		}
		if preview.Index != v.Index || previewNew != isNew || preview.Pins != v.Pins {
			t.Errorf("step %d: the preview says %+v, new %v", i, preview, previewNew)
		}
	}
	f.want(t, "p/a:v1", 1)
}

// Equal digests are equal versions, though the references are others.
func TestMovedReferencesMakeNoVersion(t *testing.T) {
	f := newFixture(t)
	v0 := f.commit(t, "zero")
	v, isNew, err := commitText(t.Context(), f.Registry, "other references", func(c *registry.Commit) { c.Summary.Digest = v0.Digest })
	if err != nil || isNew || v.Snapshot != v0.Snapshot {
		t.Errorf("got %s with snapshot %s, new %v, error %v; want v0 as it is", v.Name(), v.Snapshot, isNew, err)
	}
	files, err := os.ReadDir(filepath.Join(f.dir, "snapshots"))
	if err != nil || len(files) != 1 {
		t.Errorf("got %d snapshots, error %v; want 1", len(files), err)
	}
}

func TestBadCommits(t *testing.T) {
	f := newFixture(t)
	for text, change := range map[string]func(*registry.Commit){
		"project":              func(c *registry.Commit) { c.Project = "" },
		"artifact":             func(c *registry.Commit) { c.Artifact = "a/b" },
		"'..'":                 func(c *registry.Commit) { c.Artifact = ".." },
		"empty type":           func(c *registry.Commit) { c.Type = "" },
		"version number":       aliased("v7"),
		"'/'":                  aliased("a/b"),
		"the limit is 65536":   func(c *registry.Commit) { c.Description = strings.Repeat("d", registry.MaxDescription+1) },
		"the limit is 1048576": func(c *registry.Commit) { c.Metadata = json.RawMessage(`{"k":"` + strings.Repeat("d", 1<<20) + `"}`) },
		"not a JSON object":    func(c *registry.Commit) { c.Metadata = json.RawMessage(`[1]`) },
		"metadata is not":      func(c *registry.Commit) { c.Metadata = json.RawMessage(`{"k":`) },
		"is not a JSON":        func(c *registry.Commit) { c.Metadata = json.RawMessage(`null`) },
		"the run has":          func(c *registry.Commit) { c.Run = strings.Repeat("d", 5000) },
	} {
		_, _, err := commitText(t.Context(), f.Registry, "zero", change)
		wantKind(t, err, manifest.KindInvalid)
		wantText(t, err, text)
	}
	if _, err := os.Lstat(filepath.Join(f.dir, "projects")); !os.IsNotExist(err) {
		t.Errorf("got %v, want that bad commits leave nothing", err)
	}
}

func TestTypeIsTheArtifacts(t *testing.T) {
	f, ctx := newFixture(t), t.Context()
	f.commit(t, "zero")
	model := func(c *registry.Commit) { c.Type = "model" }
	_, _, err := commitText(ctx, f.Registry, "one", model)
	wantKind(t, err, manifest.KindInvalid)
	wantText(t, err, "p/a", "'dataset'", "'model'")
	err = f.Check(ctx, registry.Commit{Project: "p", Artifact: "a", Type: "model"})
	wantKind(t, err, manifest.KindInvalid)
	must(t, f.Check(ctx, registry.Commit{Project: "p", Artifact: "a", Type: "dataset"}))
	must(t, f.Check(ctx, registry.Commit{Project: "p", Artifact: "b", Type: "model"}))
	f.want(t, "p/a", 0, "latest")
}

func TestMetadataAndTextsAreKept(t *testing.T) {
	f := newFixture(t)
	want := f.commit(t, "zero", func(c *registry.Commit) {
		c.Metadata = json.RawMessage(`{ "b": 12345678901234567890.5, "a": "<&>  ü", "n": {"k": [1, null]} }`)
		c.Description, c.By, c.Run = "a \"text\"\nin lines, <b>", "me", "run-1"
	})
	if got := string(want.Metadata); got != `{"b":12345678901234567890.5,"a":"<&>  ü","n":{"k":[1,null]}}` {
		t.Errorf("metadata: got %s", got)
	}
	all, err := f.Versions(t.Context(), "p", "a")
	must(t, err)
	if got := fmt.Sprintf("%+v", all[0]); got != fmt.Sprintf("%+v", want) {
		t.Errorf("got  %s\nwant %+v", got, want)
	}
}

// The records are for people and other programs too: their text is fixed.
func TestRecords(t *testing.T) {
	f := newFixture(t)
	f.commit(t, "zero", aliased("bést one"), func(c *registry.Commit) {
		c.Metadata, c.Description = json.RawMessage(`{"k":[1]}`), "<d>"
	})
	for path, want := range map[string]string{
		"pinfs-registry.json": `{
  "format": 1,
  "created": "2026-08-01T12:00:00.123Z"
}
`,
		"projects/p/a/artifact.json": `{
  "type": "dataset",
  "created": "2026-08-01T12:00:00.123Z"
}
`,
		"projects/p/a/versions/0.json": `{
  "digest": "d02c4c4cde7ae76252540d116a40f23a",
  "snapshot": "f9194e73f9e9459e3450ea10a179cdf77aafa695beecd3b9344a98d111622243",
  "type": "dataset",
  "size": 4,
  "files": 1,
  "created": "2026-08-01T12:00:00.123Z",
  "description": "<d>",
  "metadata": {
    "k": [
      1
    ]
  }
}
`,
		"projects/p/a/aliases/bést one.json": `{
  "version": 0,
  "moved": "2026-08-01T12:00:00.123Z"
}
`,
	} {
		got, err := os.ReadFile(filepath.Join(f.dir, path))
		if err != nil || string(got) != want {
			t.Errorf("%s: got %s, error %v; want %s", path, got, err, want)
		}
	}
}

func (f fixture) edit(t *testing.T, path, text string) {
	t.Helper()
	path = filepath.Join(f.dir, path)
	must(t, os.MkdirAll(filepath.Dir(path), 0o777))
	must(t, os.WriteFile(path, []byte(text), 0o666))
}

func TestUnknownFieldsAndForeignFilesAreIgnored(t *testing.T) {
	f := newFixture(t)
	f.commit(t, "zero")
	f.edit(t, "pinfs-registry.json", `{"format":1,"new":{}}`)
	f.edit(t, "projects/p/a/versions/1.json", `{"digest":"d","snapshot":"s","type":"dataset","future":[1]}`)
	for _, foreign := range []string{"1.json~", "02.json", "-1.json", "x.json", "3", ".4.json.swp", "5.json/x"} {
		f.edit(t, "projects/p/a/versions/"+foreign, "{}")
	}
	f.want(t, "p/a", 1, "latest")
	f.commit(t, "two")
	f.want(t, "p/a", 2, "latest")
}

func TestNewerFormatIsRefused(t *testing.T) {
	f := newFixture(t)
	f.edit(t, "pinfs-registry.json", `{"format":2}`)
	_, err := openRegistry(t.Context(), f.dir)
	wantKind(t, err, manifest.KindUnsupported)
	wantText(t, err, "pinfs-registry.json", "format 2", "up to 1", "newer pinfs")
	// It was absent when f was opened: the first write looks again.
	_, _, err = commitText(t.Context(), f.Registry, "zero")
	wantKind(t, err, manifest.KindUnsupported)
	f.edit(t, "pinfs-registry.json", `{`)
	_, err = openRegistry(t.Context(), f.dir)
	wantKind(t, err, manifest.KindCorrupt)
}

// Numbers of deleted versions are not given again.
func TestDeletedVersions(t *testing.T) {
	f, ctx := newFixture(t), t.Context()
	f.commit(t, "zero")
	f.commit(t, "one", aliased("best"))
	f.edit(t, "projects/p/a/versions/1.json", `{"digest":"d","type":"dataset","deleted":{"at":"2026-08-01T12:00:00Z"}}`)
	f.want(t, "p/a", 0, "latest")
	for _, ref := range []string{"p/a:v1", "p/a:best"} {
		_, err := f.Resolve(ctx, name(t, ref))
		wantKind(t, err, manifest.KindNotFound)
		wantText(t, err, "deleted")
	}
	all, err := f.Versions(ctx, "p", "a")
	if err != nil || len(all) != 1 || !slices.Equal(all[0].Aliases, []string{"latest"}) {
		t.Errorf("versions: got %+v, error %v; want v0 only", all, err)
	}
	if v, isNew, err := commitText(ctx, f.Registry, "zero"); err != nil || isNew || v.Index != 0 {
		t.Errorf("equal to the latest: got %s, new %v, error %v", v.Name(), isNew, err)
	}
	if v := f.commit(t, "two"); v.Index != 2 {
		t.Errorf("after a deletion: got %s, want a:v2", v.Name())
	}
	for _, n := range []string{"0", "2"} {
		f.edit(t, "projects/p/a/versions/"+n+".json", `{"digest":"d","type":"dataset","deleted":{"at":"2026-08-01T12:00:00Z"}}`)
	}
	_, err = f.Resolve(ctx, name(t, "p/a"))
	wantKind(t, err, manifest.KindNotFound)
	artifacts, err := f.Artifacts(ctx, "p")
	if err != nil || len(artifacts) != 0 {
		t.Errorf("artifacts: got %+v, error %v; want none", artifacts, err)
	}
	if v := f.commit(t, "three"); v.Index != 3 {
		t.Errorf("after all were deleted: got %s, want a:v3", v.Name())
	}
}

func TestHints(t *testing.T) {
	f := newFixture(t)
	f.commit(t, "zero", in("vision", "mnist"), aliased("best"))
	f.commit(t, "one", in("vision", "mnist"))
	f.commit(t, "zero", in("vision", "one"))
	for ref, parts := range map[string][]string{
		"vison/mnist":        {"vison/mnist", "no project 'vison'", "did you mean vision?"},
		"vision/mnits":       {"vision/mnits", "no artifact 'mnits' in project 'vision'", "did you mean mnist?"},
		"vision/mnist:v9":    {"vision/mnist:v9", "no version v9", "there are v0…v1"},
		"vision/one:v1":      {"no version v1", "there is v0"},
		"vision/mnist:bset":  {"no alias 'bset'", "did you mean best?"},
		"vision/mnist:xxxx":  {"no alias 'xxxx'", "there are v0…v1"},
		"vision/mnist:lates": {"no alias 'lates'", "did you mean latest?"},
		"vision/mnist:0123456789abcdef0123456789abcdef": {"no alias", "there are"},
		"vision/a b!": {"no artifact 'a b!'"},
		"zzz/mnist":   {"no project 'zzz'"},
	} {
		_, err := f.Resolve(t.Context(), name(t, ref))
		wantKind(t, err, manifest.KindNotFound)
		wantText(t, err, parts...)
	}
	_, err := f.Resolve(t.Context(), manifest.Name{Artifact: "mnist"})
	wantKind(t, err, manifest.KindInvalid)
	_, err = f.Resolve(t.Context(), manifest.Name{Project: "..", Artifact: "vision"})
	wantKind(t, err, manifest.KindInvalid)
	_, err = f.Artifacts(t.Context(), "visio")
	wantText(t, err, "did you mean vision?")
	_, err = f.Versions(t.Context(), "vision", "mnis")
	wantText(t, err, "did you mean mnist?")
}

func TestLists(t *testing.T) {
	f, ctx := newFixture(t), context.Background()
	f.commit(t, "zero", in("b", "x"))
	f.commit(t, "zero", in("a", "two"), aliased("best"))
	f.commit(t, "one", in("a", "two"))
	f.commit(t, "zero", in("a", "one.more-thing_1"), func(c *registry.Commit) { c.Type = "model" })
	projects, err := f.Projects(ctx)
	if err != nil || !slices.Equal(projects, []string{"a", "b"}) {
		t.Errorf("projects: got %q, error %v", projects, err)
	}
	artifacts, err := f.Artifacts(ctx, "a")
	must(t, err)
	var got []string
	for _, a := range artifacts {
		got = append(got, fmt.Sprintf("%s/%s %s %d %s %v", a.Project, a.Name, a.Type, a.Versions, a.Latest.Name(), a.Latest.Aliases))
	}
	want := []string{"a/one.more-thing_1 model 1 one.more-thing_1:v0 [latest]", "a/two dataset 2 two:v1 [latest]"}
	if !slices.Equal(got, want) {
		t.Errorf("artifacts: got %q, want %q", got, want)
	}
	versions, err := f.Versions(ctx, "a", "two")
	if err != nil || len(versions) != 2 || !slices.Equal(versions[0].Aliases, []string{"best"}) || !slices.Equal(versions[1].Aliases, []string{"latest"}) {
		t.Errorf("versions: got %+v, error %v", versions, err)
	}
}

func TestAliases(t *testing.T) {
	f, ctx := newFixture(t), t.Context()
	f.commit(t, "zero")
	f.commit(t, "one")
	must(t, f.SetAlias(ctx, name(t, "p/a:v0"), "best", "prod"))
	f.want(t, "p/a:best", 0, "best", "prod")
	must(t, f.SetAlias(ctx, name(t, "p/a"), "best"))
	f.want(t, "p/a:v1", 1, "best", "latest")
	must(t, f.SetAlias(ctx, name(t, "p/a:prod"), "best"))
	f.want(t, "p/a:v0", 0, "best", "prod")
	wantKind(t, f.SetAlias(ctx, name(t, "p/a"), "ok", "latest"), manifest.KindInvalid)
	wantKind(t, f.SetAlias(ctx, name(t, "p/a"), "ok", "v3"), manifest.KindInvalid)
	wantKind(t, f.SetAlias(ctx, name(t, "p/a:none"), "ok"), manifest.KindNotFound)
	wantKind(t, f.RemoveAlias(ctx, "p", "a", "latest"), manifest.KindInvalid)
	err := f.RemoveAlias(ctx, "p", "a", "best", "prud")
	wantKind(t, err, manifest.KindNotFound)
	wantText(t, err, "no alias 'prud'", "did you mean prod?")
	f.want(t, "p/a:v0", 0, "best", "prod")
	must(t, f.RemoveAlias(ctx, "p", "a", "prod", "best", "best"))
	f.want(t, "p/a:v0", 0)
	_, err = f.Resolve(ctx, name(t, "p/a:ok"))
	wantKind(t, err, manifest.KindNotFound)
}
