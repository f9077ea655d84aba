package publish_test

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/pinfs/pinfs/manifest"
	"github.com/pinfs/pinfs/registry/publish"
)

const head = `{"version":1,"storagePolicy":"wandb-storage-policy-v1","storagePolicyConfig":{"storageLayout":"V2"},"contents":`

func (w *world) importText(t testing.TB, text string) (publish.Result, error) {
	t.Helper()
	return publish.Import(t.Context(), publish.ImportOptions{
		Registry: w.Registry, Name: manifest.Name{Project: "p", Artifact: "a"}, Type: "dataset", Reader: strings.NewReader(text),
	})
}

func (w *world) export(t testing.TB, r publish.Result) string {
	t.Helper()
	s, err := w.OpenSnapshot(t.Context(), r.Version)
	must(t, err)
	defer s.Close()
	var b bytes.Buffer
	must(t, publish.Export(t.Context(), s, &b))
	return b.String()
}

func TestImportAndExport(t *testing.T) {
	for text, digest := range map[string]string{
		head + "{}}\n": "64e7c61456b10382e2f3b571ac24b659",
		head + `{"file1.txt":{"digest":"XUFAKrxLKna5cZ2REBfFkg==","ref":"s3://b/k","size":10,"extra":{"etag":"e","versionID":"x"}}}}` + "\n": "a00c2239f036fb656c1dcbf9a32d89b4",
	} {
		w := newWorld(t)
		r, err := w.importText(t, text)
		if err != nil || r.Version.Digest != digest || !r.New {
			t.Fatalf("got digest %s, new %v, error %v; want %s", r.Version.Digest, r.New, err, digest)
		}
		first := w.export(t, r)
		again, err := w.importText(t, first)
		if err != nil || again.New {
			t.Errorf("imported again: new %v, error %v", again.New, err)
		}
		if got, want := len(first), len(text); got != want {
			t.Errorf("got  %s\nwant %s", first, text)
		}
		w.wantClean(t, 1)
	}
}

// The header can come behind the contents, and must be kept all the same.
func TestImportHeaderAtTheEnd(t *testing.T) {
	w := newWorld(t)
	r, err := w.importText(t, `{"contents":{"a":{"digest":"d","ref":"s3://b/a","size":1}},"storagePolicyConfig":{"storageRegion":"eu"},"storagePolicy":"other","version":1}`)
	must(t, err)
	s, err := w.OpenSnapshot(t.Context(), r.Version)
	must(t, err)
	defer s.Close()
	if h := s.Meta().Header; h.StoragePolicy != "other" || h.StoragePolicyConfig["storageRegion"] != "eu" || s.Meta().ExactSizes {
		t.Errorf("got %+v", s.Meta())
	}
}

func TestImportForeignShapes(t *testing.T) {
	w := newWorld(t)
	r, err := w.importText(t, head+`{"a":{"digest":"d1","ref":"s3://b/a"},"a/b":{"digest":"d2","ref":"s3://b/b","size":0},"c":{"digest":"d3","size":5}}}`)
	must(t, err)
	s, err := w.OpenSnapshot(t.Context(), r.Version)
	must(t, err)
	defer s.Close()
	if sum := s.Summary(); sum.Files != 3 && sum.Shadowed != 1 {
		t.Errorf("got %+v, want one shadowed file", sum)
	}
	all := w.entries(t, r.Version)
	if len(all) != 3 || all[0].Size != manifest.SizeUnknown || all[2].Size != 5 {
		t.Errorf("got %+v", all)
	}
}

func TestImportRefusesWhole(t *testing.T) {
	good := `"good":{"digest":"d","ref":"s3://b/g","size":1}`
	for text, part := range map[string]string{
		"":                "",
		"[]":              "",
		`{"version":2}`:   "version",
		head + `{` + good: "",
		head + `{` + good + `,"../x":{"digest":"d"}}}`:                             "../x",
		head + `{` + good + `,"/etc/x":{"digest":"d"}}}`:                           "/etc/x",
		head + `{` + good + `,"a//b":{"digest":"d"}}}`:                             "a//b",
		head + `{` + good + `,"x":{"ref":"s3://b/x"}}}`:                            "x",
		head + `{` + good + `,"good":{"digest":"other"}}}`:                         "good",
		head + `{` + good + `,"` + strings.Repeat("n", 256) + `":{"digest":"d"}}}`: "nnn",
	} {
		w := newWorld(t)
		_, err := w.importText(t, text)
		wantError(t, err, manifest.KindInvalid, part)
		w.wantClean(t, 0)
	}
}

var errBroken = errors.New("the pipe broke")

type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, errBroken }

func TestImportOfABrokenStream(t *testing.T) {
	w := newWorld(t)
	_, err := publish.Import(t.Context(), publish.ImportOptions{
		Registry: w.Registry, Name: manifest.Name{Project: "p", Artifact: "a"}, Type: "dataset", Reader: broken{},
	})
	if !errors.Is(err, errBroken) {
		t.Errorf("got %v, want the reader's error", err)
	}
	w.wantClean(t, 0)
}

func TestExportEndsWithItsContext(t *testing.T) {
	w := newWorld(t)
	w.mem.Put("b/d/x", []byte("one"))
	s, err := w.OpenSnapshot(t.Context(), w.put(t, "mem://b/d").Version)
	must(t, err)
	defer s.Close()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := publish.Export(ctx, s, &bytes.Buffer{}); manifest.KindOf(err) != manifest.KindCanceled {
		t.Errorf("got %v, want an interruption", err)
	}
}

// What put records, export writes and import reads: the same version.
func TestPutExportImport(t *testing.T) {
	w, other := newWorld(t), newWorld(t)
	w.mem.Put("b/d/x", []byte("one"))
	w.mem.Put("b/d/ü/y", nil)
	r := w.put(t, "mem://b/d")
	text := w.export(t, r)
	back, err := other.importText(t, text)
	if err != nil || back.Version.Digest != r.Version.Digest {
		t.Errorf("got digest %s, error %v; want %s", back.Version.Digest, err, r.Version.Digest)
	}
	if got := other.export(t, back); got != text {
		t.Errorf("got  %s\nwant %s", got, text)
	}
	if !strings.HasPrefix(text, head) {
		t.Errorf("got %s, want it to begin as W&B's", text)
	}
}
