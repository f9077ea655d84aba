package publish_test

import (
	"context"
	"crypto/md5"
	"encoding/base64"
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/pinfs/pinfs/backends"
	"github.com/pinfs/pinfs/backends/memstore"
	"github.com/pinfs/pinfs/manifest"
	"github.com/pinfs/pinfs/registry/publish"
)

// unsized makes the store tell no sizes.
func unsized(context.Context, memstore.Request) memstore.Fault {
	return memstore.Fault{Info: func(i *backends.Info) { i.Size = manifest.SizeUnknown }}
}

// TestWholeURIs: one entry for each URI, by the rules of W&B's checksum=False.
func TestWholeURIs(t *testing.T) {
	w := newWorld(t)
	azure := "https://acct.blob.core.windows.net/cont"
	for uri, want := range map[string]manifest.Entry{
		"mem://b/d/x":                       {Path: "d/x", Ref: "mem://b/d/x"},
		"s3://b/d/x":                        {Path: "d/x", Ref: "s3://b/d/x"},
		"s3://b/d/":                         {Path: "d", Ref: "s3://b/d/"},
		"s3://b":                            {Path: "b", Ref: "s3://b"},
		"s3://b/k?versionId=V.1":            {Path: "k", Ref: "s3://b/k", Extra: map[string]any{"versionID": "V.1"}},
		"s3://b/odd ?#%+key":                {Path: "odd ?#%+key", Ref: "s3://b/odd ?#%+key"},
		"dir=s3://b/d/x":                    {Path: "dir", Ref: "s3://b/d/x"},
		"gs://b/d/x#123":                    {Path: "d/x", Ref: "gs://b/d/x", Extra: map[string]any{"versionID": json.Number("123")}},
		"gs://b":                            {Path: "b", Ref: "gs://b"},
		azure + "/d/x?versionId=2026":       {Path: "d/x", Ref: azure + "/d/x", Extra: map[string]any{"versionID": "2026"}},
		azure:                               {Path: "cont", Ref: azure},
		"azblob://acct/cont/d/x":            {Path: "d/x", Ref: "azblob://acct/cont/d/x"},
		"https://host/d/page.html?q=1#frag": {Path: "page.html", Ref: "https://host/d/page.html?q=1#frag"},
		"n=wandb-artifact://0abc/file":      {Path: "n", Ref: "wandb-artifact://0abc/file"},
	} {
		want.Digest, want.Size = want.Ref, manifest.SizeUnknown
		o := w.options(uri)
		o.NoChecksum, o.Backend = true, deaf{}
		r, err := publish.Put(t.Context(), o)
		must(t, err)
		if got := w.entries(t, r.Version); len(got) != 1 || !reflect.DeepEqual(got[0], want) {
			t.Errorf("%s: got %+v, want %+v", uri, got, want)
		}
	}
	for _, uri := range []string{"s3://b/a//b", "https://host/", "s3://b/a/../b"} {
		o := w.options(uri)
		o.NoChecksum, o.Backend = true, deaf{}
		if _, err := publish.Put(t.Context(), o); uri == "https://host/" {
			must(t, err) // the host is its name
		} else {
			wantError(t, err, manifest.KindInvalid, uri, "NAME=URI")
		}
	}
}

// TestNoSecretIsRecorded: nobody else looks at these URIs.
func TestNoSecretIsRecorded(t *testing.T) {
	w := newWorld(t)
	for _, uri := range []string{
		"https://me:canary@host/x", "http://canary@host/x?q=1", "https://acct.blob.core.windows.net/c/b?sv=1&sig=canary",
		"azblob://acct/c/b?sig=canary",
	} {
		o := w.options(uri)
		o.NoChecksum, o.Backend = true, deaf{}
		_, err := publish.Put(t.Context(), o)
		wantError(t, err, manifest.KindInvalid, "would be recorded")
		if strings.Contains(err.Error(), "canary") {
			t.Errorf("the secret is in %q", err)
		}
	}
	w.wantClean(t, 0)
}

// deaf is a source that must not be asked.
type deaf struct{ backends.Backend }

func (deaf) List(_ context.Context, uri string, _ func(backends.Info) error) error {
	return backends.Denied("list", uri, "it was asked", nil)
}

func TestFilesWithoutChecksum(t *testing.T) {
	w, dir := newWorld(t), t.TempDir()
	for _, name := range []string{"plain", "sp ace/ü%?#"} {
		must(t, os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o777))
		must(t, os.WriteFile(filepath.Join(dir, name), []byte("text"), 0o666))
	}
	must(t, os.Chmod(filepath.Join(dir, "plain"), 0)) // nobody reads it
	o := w.options(dir)
	o.NoChecksum = true
	r, err := publish.Put(t.Context(), o)
	must(t, err)
	uris := map[string]string{"plain": "file://" + dir + "/plain", "sp ace/ü%?#": "file://" + dir + "/sp%20ace/%C3%BC%25%3F%23"}
	all := w.entries(t, r.Version)
	if len(all) != len(uris) {
		t.Fatalf("got %d entries, want %d", len(all), len(uris))
	}
	for _, e := range all {
		sum := md5.Sum([]byte(uris[e.Path]))
		if want := base64.StdEncoding.EncodeToString(sum[:]); e.Digest != want || e.Size != 4 || e.Ref != "file://"+dir+"/"+e.Path {
			t.Errorf("got %+v, want digest %s", e, want)
		}
		if pin := e.Object().Pin; pin.Kind != manifest.PinNone {
			t.Errorf("%s: got pin %s, want none", e.Path, pin)
		}
	}
	_, err = publish.Put(t.Context(), w.options(filepath.Join(dir, "none")))
	wantError(t, err, manifest.KindNoSource)
}

// TestOtherSchemes are tracked, with and without NoChecksum, if they have a name.
func TestOtherSchemes(t *testing.T) {
	w := newWorld(t)
	for _, no := range []bool{false, true} {
		o := w.options("dir/name=nope://host/x")
		o.NoChecksum = no
		r, err := publish.Put(t.Context(), o)
		must(t, err)
		e := w.entries(t, r.Version)[0]
		if e.Path != "dir/name" || e.Digest != "nope://host/x" || e.Ref != e.Digest || e.Size != manifest.SizeUnknown {
			t.Errorf("got %+v", e)
		}
		o = w.options("nope://host/x")
		o.NoChecksum = no
		_, err = publish.Put(t.Context(), o)
		wantError(t, err, manifest.KindUnsupported, "nope://", "NAME=nope://host/x")
	}
	for _, change := range []func(*publish.Options){
		func(o *publish.Options) { o.Copy = true },
		func(o *publish.Options) { o.ChunkDigests = true },
		func(o *publish.Options) { o.Checksum = "md5" },
	} {
		o := w.options("n=nope://host/x")
		change(&o)
		_, err := publish.Put(t.Context(), o)
		wantError(t, err, manifest.KindUnsupported, "nope://host/x", "only tracked")
	}
}
