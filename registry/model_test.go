package registry_test

import (
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/pinfs/pinfs/manifest"
	"github.com/pinfs/pinfs/registry"
)

// model is an artifact as simple as it can be.
type model struct {
	digests []string       // of the versions
	aliases map[string]int // but for latest
}

func (m *model) commit(digest string, aliases []string) (index int, isNew bool) {
	if last := len(m.digests) - 1; last < 0 || m.digests[last] != digest {
		m.digests, isNew = append(m.digests, digest), true
	}
	index = len(m.digests) - 1
	for _, alias := range aliases {
		m.aliases[alias] = index
	}
	return index, isNew
}

func (m *model) namesOf(index int) []string {
	var all []string
	for alias, i := range m.aliases {
		if i == index {
			all = append(all, alias)
		}
	}
	if index == len(m.digests)-1 {
		all = append(all, manifest.Latest)
	}
	slices.Sort(all)
	return all
}

func TestModel(t *testing.T) {
	// Each step waits for the disk several times; rapid's 100 runs would take minutes.
	if f := flag.Lookup("rapid.checks"); f.Value.String() == f.DefValue {
		must(t, f.Value.Set("15"))
	}
	rapid.Check(t, func(rt *rapid.T) {
		dir, err := os.MkdirTemp("", "pinfs-model")
		must(rt, err)
		defer os.RemoveAll(dir)
		world := world{dir: dir, artifacts: map[string]*model{"a": {aliases: map[string]int{}}, "b": {aliases: map[string]int{}}}}
		rt.Repeat(map[string]func(*rapid.T){
			"":         world.check,
			"commit":   world.commit,
			"setAlias": world.setAlias,
			"rmAlias":  world.removeAlias,
		})
	})
}

type world struct {
	dir       string
	artifacts map[string]*model
}

// open gives another handle each time: nothing may live in one.
func (w *world) open(t *rapid.T) *registry.Registry {
	r, err := openRegistry(t.Context(), w.dir)
	must(t, err)
	return r
}

func drawArtifact(t *rapid.T) string {
	return rapid.SampledFrom([]string{"a", "b"}).Draw(t, "artifact")
}

func drawAliases(t *rapid.T) []string {
	return rapid.SliceOfN(rapid.SampledFrom([]string{"best", "prod", "x y", "ünï%2e"}), 0, 3).Draw(t, "aliases")
}

func (w *world) commit(t *rapid.T) {
	artifact, aliases := drawArtifact(t), drawAliases(t)
	text := rapid.SampledFrom([]string{"one", "two", "three"}).Draw(t, "text")
	v, isNew, err := commitText(t.Context(), w.open(t), text, in("p", artifact), aliased(aliases...))
	must(t, err)
	index, wantNew := w.artifacts[artifact].commit(v.Digest, aliases)
	if v.Index != index || isNew != wantNew {
		t.Fatalf("commit %s: got %s, new %v; want v%d, new %v", text, v.Name(), isNew, index, wantNew)
	}
}

func (w *world) setAlias(t *rapid.T) {
	artifact, aliases := drawArtifact(t), drawAliases(t)
	m, index := w.artifacts[artifact], rapid.IntRange(0, 5).Draw(t, "version")
	err := w.open(t).SetAlias(t.Context(), manifest.Name{Project: "p", Artifact: artifact, Version: fmt.Sprint("v", index)}, aliases...)
	if index >= len(m.digests) {
		wantKind(t, err, manifest.KindNotFound)
		return
	}
	must(t, err)
	for _, alias := range aliases {
		m.aliases[alias] = index
	}
}

func (w *world) removeAlias(t *rapid.T) {
	artifact, aliases := drawArtifact(t), drawAliases(t)
	m := w.artifacts[artifact]
	err := w.open(t).RemoveAlias(t.Context(), "p", artifact, aliases...)
	for _, alias := range aliases {
		if _, ok := m.aliases[alias]; !ok {
			wantKind(t, err, manifest.KindNotFound)
			return
		}
	}
	must(t, err)
	for _, alias := range aliases {
		delete(m.aliases, alias)
	}
}

func (w *world) check(t *rapid.T) {
	r := w.open(t)
	for artifact, m := range w.artifacts {
		versions, err := r.Versions(t.Context(), "p", artifact)
		if len(m.digests) == 0 {
			wantKind(t, err, manifest.KindNotFound)
			continue
		}
		must(t, err)
		var got, want []string
		for _, v := range versions {
			got = append(got, fmt.Sprint(v.Index, v.Digest, v.Aliases))
		}
		for i, digest := range m.digests {
			want = append(want, fmt.Sprint(i, digest, m.namesOf(i)))
		}
		if !slices.Equal(got, want) {
			t.Fatalf("%s: got %s\nwant %s", artifact, strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
		w.checkResolve(t, r, artifact, m)
	}
}

func (w *world) checkResolve(t *rapid.T, r *registry.Registry, artifact string, m *model) {
	n := manifest.Name{Project: "p", Artifact: artifact}
	for alias, index := range m.aliases {
		n.Version = alias
		v, err := r.Resolve(t.Context(), n)
		if err != nil || v.Index != index || !slices.Equal(v.Aliases, m.namesOf(index)) {
			t.Fatalf("%s: got %s %q, error %v; want v%d", n, v.Name(), v.Aliases, err, index)
		}
	}
	n.Version = ""
	if v, err := r.Resolve(t.Context(), n); err != nil || v.Index != len(m.digests)-1 {
		t.Fatalf("%s: got %s, error %v; want v%d", n, v.Name(), err, len(m.digests)-1)
	}
}
