package integration_test

import (
	"bytes"
	"context"
	"encoding/json"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/pinfs/pinfs/integration/servers"
	"github.com/pinfs/pinfs/testwarden"
)

// odd are paths that trip tools up; each is valid in a bucket and on disk.
var odd = []string{
	"plain.txt", "nested/deeper/and deeper/still.bin", "with space/a b c.txt",
	"plus+and%percent/100%25+.txt", "Grüße/日本語/ё.txt", "nfd/e\u0301.txt", "emoji/\U0001F600.png",
	"a-b", "a.txt", "a/inside", "ab", "quote'\"quote", "[glob]*/{x}", "~tilde/$HOME/`cmd`",
	".hidden/.dot", "UPPER/lower", "upper/lower", "tab\tname",
}

// recorded is what the Python recorder prints.
type recorded struct {
	Digest   string                    `json:"digest"`
	Contents map[string]map[string]any `json:"contents"`
}

// record runs the second implementation of W&B's rules.
func record(t *testing.T, h *host, uris ...string) recorded {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	script, err := filepath.Abs("testdata/record.py")
	if err != nil {
		t.Fatal(err)
	}
	cmd := testwarden.Command(ctx, "/usr/bin/python3", append([]string{script}, uris...)...)
	cmd.Env = h.env
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("record.py: %v (run integration/tools.sh install test)\n%s", err, errs.String())
	}
	var r recorded
	if err := json.Unmarshal(out, &r); err != nil {
		t.Fatal(err)
	}
	return r
}

// wantRecorded compares the version's digest and all of its manifest with what
// the second implementation records.
func wantRecorded(t *testing.T, h *host, p put, uris ...string) {
	t.Helper()
	want := record(t, h, uris...)
	if len(want.Contents) < len(odd) {
		t.Fatalf("the recorder found %d entries, want at least %d", len(want.Contents), len(odd))
	}
	if p.Digest != want.Digest {
		t.Errorf("artifact digest %s, want %s", p.Digest, want.Digest)
	}
	var got struct {
		Version       int                       `json:"version"`
		StoragePolicy string                    `json:"storagePolicy"`
		Contents      map[string]map[string]any `json:"contents"`
	}
	if err := json.Unmarshal([]byte(h.must("export", p.Name+":"+p.Version)), &got); err != nil {
		t.Fatal(err)
	}
	if got.Version != 1 || got.StoragePolicy != "wandb-storage-policy-v1" {
		t.Errorf("manifest version %d, policy %q", got.Version, got.StoragePolicy)
	}
	for path, entry := range want.Contents {
		if !reflect.DeepEqual(got.Contents[path], entry) {
			t.Errorf("%q:\n got %v\nwant %v", path, got.Contents[path], entry)
		}
	}
	if len(got.Contents) != len(want.Contents) {
		t.Errorf("%d entries, want %d", len(got.Contents), len(want.Contents))
	}
}

// TestRecordsPrefixAsWandb: digest and entries of a versioned prefix.
func TestRecordsPrefixAsWandb(t *testing.T) {
	h := newHost(t)
	shared.s3.CreateBucket(t, "record-versions", true)
	for _, key := range odd {
		shared.s3.Put(t, "record-versions", "top/dir/"+key, []byte("first "+key))
		shared.s3.Put(t, "record-versions", "top/dir/"+key, []byte("second "+key))
	}
	shared.s3.PutMultipart(t, "record-versions", "top/dir/multi/part.bin", bytes.Repeat([]byte("0123456789abcdef"), 700_000), 5<<20)
	p := h.put("records/prefix", "s3://record-versions/top/dir")
	wantRecorded(t, h, p, "s3://record-versions/top/dir")
	wantRoundTrip(t, h, p)
}

// TestRecordsDirectoryAsWandb: digest and entries of a directory.
func TestRecordsDirectoryAsWandb(t *testing.T) {
	h := newHost(t)
	top := filepath.Join(t.TempDir(), "a dir with space")
	for _, path := range odd {
		write(t, filepath.Join(top, path), "content of "+path)
	}
	write(t, filepath.Join(top, "empty"), "")
	p := h.put("records/directory", top)
	wantRecorded(t, h, p, "file://"+top)
	wantRoundTrip(t, h, p)
}

// TestRecordsGCSAsWandb: digest and entries of a prefix with generations.
func TestRecordsGCSAsWandb(t *testing.T) {
	gcs := shared.gcs.Get(t)
	h := newHost(t).with(gcs.Env()...)
	gcs.CreateBucket(t, "record-gcs", true)
	for _, key := range append([]string{"empty"}, odd...) {
		gcs.Put(t, "record-gcs", "top/dir/"+key, []byte("first "+key))
		gcs.Put(t, "record-gcs", "top/dir/"+key, []byte(strings.TrimPrefix("second "+key, "second empty")))
	}
	p := h.put("records/gcs", "gs://record-gcs/top/dir")
	wantRecorded(t, h, p, "gs://record-gcs/top/dir")
	wantRoundTrip(t, h, p)
}

// TestRecordsAzureAsWandb: digest and entries of a prefix, with version ids and
// without.
func TestRecordsAzureAsWandb(t *testing.T) {
	versioned := shared.azure.Get(t)
	for name, azure := range map[string]*servers.Azure{"versions": versioned, "plain": versioned.WithoutVersions()} {
		t.Run(name, func(t *testing.T) {
			h := newHost(t).with(azure.Env("")...)
			container := "record-" + name
			azure.CreateContainer(t, container, false)
			for _, key := range append([]string{"empty"}, odd...) {
				azure.Put(t, container, "top/dir/"+key, []byte("first "+key))
				azure.Put(t, container, "top/dir/"+key, []byte(strings.TrimPrefix("second "+key, "second empty")))
			}
			uri := "azblob://" + azure.Account + "/" + container + "/top/dir"
			p := h.put("records/azure", uri)
			wantRecorded(t, h, p, uri)
			wantRoundTrip(t, h, p)
		})
	}
}

// TestRecordsHTTPAsWandb: digest and entries of URLs with ETags, each by a name.
func TestRecordsHTTPAsWandb(t *testing.T) {
	nginx := shared.nginx.Get(t)
	h := newHost(t)
	var pairs []string
	for i, name := range odd {
		nginx.Put(t, "record/"+name, []byte("content of "+name), time.Now().Add(-time.Duration(i)*time.Hour))
		pairs = append(pairs, "by name/"+name+"="+nginx.URL(servers.HTTPPlain, "record/"+name))
	}
	p := h.put("records/http", pairs...)
	wantRecorded(t, h, p, pairs...)
	wantRoundTrip(t, h, p)
}

// wantRoundTrip: export and import give the same digest and the same JSON.
func wantRoundTrip(t *testing.T, h *host, p put) {
	t.Helper()
	first := h.must("export", p.Name+":"+p.Version)
	file := filepath.Join(t.TempDir(), "manifest.json")
	write(t, file, first)
	var back put
	h.json(&back, "import", "--name", p.Name+"-copy", "--type", "dataset", file)
	if back.Digest != p.Digest || back.Files != p.Files {
		t.Errorf("import gives %+v, want digest and files of %+v", back, p)
	}
	if second := h.must("export", p.Name+"-copy:v0"); second != first {
		t.Errorf("export after import differs:\n%s\n%s", tail(first, 500), tail(second, 500))
	}
}
