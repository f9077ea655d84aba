package integration_test

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/pinfs/pinfs/backends"
	"github.com/pinfs/pinfs/backends/backendtest"
	"github.com/pinfs/pinfs/backends/gcsstore"
	"github.com/pinfs/pinfs/integration/servers"
	"github.com/pinfs/pinfs/manifest"
)

// gcsDriver gives the driver, stacked as in the command but with little patience.
// endpoint "" is the one of the environment.
func gcsDriver(t *testing.T, endpoint string) backends.Backend {
	t.Helper()
	b, err := gcsstore.New(t.Context(), gcsstore.Options{Endpoint: endpoint})
	if err != nil {
		t.Fatal(err)
	}
	stacked := backends.Wrap(b, backends.Options{Limit: 16, Retry: backends.RetryPolicy{FirstWait: time.Millisecond, MaxWait: 10 * time.Millisecond, StallTimeout: 2 * time.Second}})
	t.Cleanup(func() {
		if err := stacked.Close(); err != nil {
			t.Error(err)
		}
	})
	return stacked
}

// TestGCSFaults: a real server behind a bad network is slower, never wrong.
func TestGCSFaults(t *testing.T) {
	srv := shared.gcs.Get(t)
	srv.Setenv(t)
	srv.CreateBucket(t, "faults", true)
	data := make([]byte, 1<<20)
	for i := range data {
		data[i] = byte(i*7 + i>>8*13)
	}
	srv.Put(t, "faults", "dir/big", data)
	for name, f := range map[string]backendtest.Fault{
		"busy":                {Status: 503, Times: 5},
		"throttled":           {Status: 429, Times: 2},
		"internal error":      {Status: 500, Times: 2},
		"reset":               {Reset: true, Times: 2},
		"silent":              {Silent: true, Times: 1},
		"cut at 0":            {Body: &backendtest.Damage{Kind: backendtest.Cut}, Times: 2},
		"cut in the middle":   {Body: &backendtest.Damage{Kind: backendtest.Cut, At: 300_000}, Times: 2},
		"stall in the middle": {Body: &backendtest.Damage{Kind: backendtest.Stall, At: 300_000}, Times: 1},
	} {
		t.Run(name, func(t *testing.T) {
			p := servers.StartFaultProxy(t, srv.Endpoint)
			p.Dialect = servers.GCSErrors
			b := gcsDriver(t, p.Endpoint)
			obj := listS3(t, b, "gs://faults/dir")["big"].Entry("big").Object()
			f.Op = backendtest.DataOp
			p.Suite().Break(f)
			got, err := readS3(t, b, obj, 100_000, 800_000)
			if err != nil || got != string(data[100_000:900_000]) {
				t.Fatalf("%d bytes, %v", len(got), err)
			}
			if n := p.Suite().Seen(backendtest.DataOp); n != f.Times+1 {
				t.Errorf("%d requests for content, want %d", n, f.Times+1)
			}
		})
	}
}

// TestGCSReplaced: where a bucket keeps no generations, a replaced one is gone,
// and it is said what is there instead.
func TestGCSReplaced(t *testing.T) {
	srv := shared.gcs.Get(t)
	srv.Setenv(t)
	srv.CreateBucket(t, "replaced", false)
	srv.Put(t, "replaced", "dir/a", []byte("one"))
	b := gcsDriver(t, "")
	obj := listS3(t, b, "gs://replaced/dir")["a"].Entry("a").Object()
	now := srv.Put(t, "replaced", "dir/a", []byte("two"))
	_, readErr := readS3(t, b, obj, 0, -1)
	_, statErr := b.Stat(t.Context(), obj)
	for _, err := range []error{readErr, statErr} {
		want := fmt.Sprintf("gs://replaced/dir/a: pinned version is gone: expected '%v' but found 'generation:%d'", obj.Pin, now.Generation)
		if manifest.KindOf(err) != manifest.KindGone || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}

// TestGCSOlder: manifests of W&B's SDK before 0.17 have the MD5 as digest and
// nothing else; others may have lost the generation. Both are found among older
// generations, after a delete too.
func TestGCSOlder(t *testing.T) {
	srv := shared.gcs.Get(t)
	srv.Setenv(t)
	srv.CreateBucket(t, "older", true)
	wanted := srv.Put(t, "older", "dir/a", []byte("wanted"))
	for i := range 5 {
		srv.Put(t, "older", "dir/a", fmt.Appendf(nil, "later %d", i))
	}
	srv.Put(t, "older", "dir/a2", []byte("wanted")) // the same MD5 at another key
	for _, deleted := range []bool{false, true} {
		if deleted {
			srv.Delete(t, "older", "dir/a")
		}
		for _, digest := range []string{wanted.MD5, wanted.ETag} {
			b := gcsDriver(t, "") // it remembers nothing
			obj := manifest.Entry{Ref: "gs://older/dir/a", Digest: digest, Size: 6}.Object()
			if got, err := readS3(t, b, obj, 2, 3); got != "nte" || err != nil {
				t.Errorf("deleted=%v, %v: %q, %v", deleted, obj.Pin, got, err)
			}
			if info, err := b.Stat(t.Context(), obj); err != nil || info.Extra["versionID"] != json.Number(fmt.Sprint(wanted.Generation)) {
				t.Errorf("deleted=%v, %v: %+v, %v", deleted, obj.Pin, info, err)
			}
		}
	}
	obj := manifest.Entry{Ref: "gs://older/dir/a", Digest: "AAAAAAAAAAAAAAAAAAAAAA==", Size: 6}.Object()
	if _, err := readS3(t, gcsDriver(t, ""), obj, 0, -1); manifest.KindOf(err) != manifest.KindGone {
		t.Errorf("an MD5 that never was: %v", err)
	}
}

// TestGCSSums: what the server vouches for; objects that a compose made have no MD5.
func TestGCSSums(t *testing.T) {
	srv := shared.gcs.Get(t)
	srv.Setenv(t)
	srv.CreateBucket(t, "sums", true)
	srv.Put(t, "sums", "dir/plain", []byte("content"))
	srv.PutAs(t, "sums", "dir/composite", []byte("content"), servers.GCSPut{Composite: true})
	b := gcsDriver(t, "")
	for name, listed := range listS3(t, b, "gs://sums/dir") {
		obj := listed.Entry(name).Object()
		asked, err := b.Stat(t.Context(), obj)
		if err != nil {
			t.Fatal(err)
		}
		body, opened, err := b.Open(t.Context(), obj, 1, 2)
		if err != nil {
			t.Fatal(err)
		}
		body.Close()
		want := map[string]int{"plain": 2, "composite": 1}[name]
		for _, info := range []backends.Info{listed, asked, opened} {
			if len(info.Sums) != want {
				t.Errorf("%s: %v", name, info.Sums)
			}
			for _, sum := range info.Sums {
				h := sum.Alg.New()
				h.Write([]byte("content"))
				if !bytes.Equal(h.Sum(nil), sum.Value) {
					t.Errorf("%s: %s %x", name, sum.Alg, sum.Value)
				}
			}
		}
	}
}

// TestGCSStored: what was stored with Content-Encoding gzip is read as it is
// stored, by ranges too.
func TestGCSStored(t *testing.T) {
	srv := shared.gcs.Get(t)
	srv.Setenv(t)
	srv.CreateBucket(t, "stored", true)
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	if _, err := z.Write(bytes.Repeat([]byte("plain text "), 10_000)); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	srv.PutAs(t, "stored", "dir/a.txt", packed.Bytes(), servers.GCSPut{ContentType: "text/plain", ContentEncoding: "gzip"})
	b := gcsDriver(t, "")
	obj := listS3(t, b, "gs://stored/dir")["a.txt"].Entry("a.txt").Object()
	if obj.Size != int64(packed.Len()) {
		t.Errorf("size %d, want %d", obj.Size, packed.Len())
	}
	for _, r := range [][2]int{{0, packed.Len()}, {10, 20}} {
		got, err := readS3(t, b, obj, int64(r[0]), int64(r[1]))
		if want := packed.Bytes()[r[0]:min(r[0]+r[1], packed.Len())]; err != nil || got != string(want) {
			t.Errorf("%v: %d bytes, %v; want %d", r, len(got), err, len(want))
		}
	}
}

// TestGCSRefused: each of the three calls says which right it wants.
func TestGCSRefused(t *testing.T) {
	srv := shared.gcs.Get(t)
	srv.Setenv(t)
	srv.CreateBucket(t, "refused", true)
	srv.Put(t, "refused", "dir/a", []byte("one"))
	p := servers.StartFaultProxy(t, srv.Endpoint)
	p.Dialect = servers.GCSErrors
	b := gcsDriver(t, p.Endpoint)
	obj := listS3(t, b, "gs://refused/dir")["a"].Entry("a").Object()
	p.Inject(servers.GCSErrors.Denied())
	_, readErr := readS3(t, b, obj, 0, -1)
	_, statErr := b.Stat(t.Context(), obj)
	listErr := b.List(t.Context(), "gs://refused/dir/", func(backends.Info) error { return nil })
	errs := []error{readErr, statErr, listErr}
	for i, right := range []string{"storage.objects.get", "storage.objects.get", "storage.objects.list"} {
		if manifest.KindOf(errs[i]) != manifest.KindDenied || !strings.Contains(errs[i].Error(), right) {
			t.Errorf("got %v, want %s in it", errs[i], right)
		}
	}
}
