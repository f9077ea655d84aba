package integration_test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/pinfs/pinfs/backends"
	"github.com/pinfs/pinfs/backends/backendtest"
	"github.com/pinfs/pinfs/backends/s3store"
	"github.com/pinfs/pinfs/integration/servers"
	"github.com/pinfs/pinfs/manifest"
)

// s3Driver gives the driver for an endpoint, stacked as in the command but with
// little patience.
func s3Driver(t *testing.T, o s3store.Options) backends.Backend {
	t.Helper()
	b, err := s3store.New(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	stacked := backends.Wrap(b, backends.Options{Limit: 16, Retry: backends.RetryPolicy{FirstWait: time.Millisecond, MaxWait: 10 * time.Millisecond, StallTimeout: time.Second}})
	t.Cleanup(func() {
		if err := stacked.Close(); err != nil {
			t.Error(err)
		}
	})
	return stacked
}

// listS3 lists uri and gives objects by name.
func listS3(t *testing.T, b backends.Backend, uri string) map[string]backends.Info {
	t.Helper()
	infos := map[string]backends.Info{}
	err := b.List(t.Context(), uri, func(i backends.Info) error {
		if _, twice := infos[i.Name]; twice {
			t.Errorf("%q is listed twice", i.Name)
		}
		infos[i.Name] = i
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return infos
}

// readS3 reads a range whole.
func readS3(t *testing.T, b backends.Backend, obj manifest.Object, offset, length int64) (string, error) {
	t.Helper()
	body, _, err := b.Open(t.Context(), obj, offset, length)
	if err != nil {
		return "", err
	}
	defer body.Close()
	data, err := io.ReadAll(body)
	return string(data), err
}

// TestS3Faults: a real server behind a bad network is slower, never wrong.
func TestS3Faults(t *testing.T) {
	srv := shared.s3
	srv.Setenv(t)
	srv.CreateBucket(t, "faults", true)
	data := make([]byte, 1<<20)
	for i := range data {
		data[i] = byte(i*7 + i>>8*13)
	}
	srv.Put(t, "faults", "dir/big", data)
	for name, f := range map[string]servers.Fault{
		"slow down":           {Status: 503, Code: "SlowDown", Times: 5},
		"throttled":           {Status: 429, Code: "TooManyRequests", Times: 2},
		"internal error":      {Status: 500, Code: "InternalError", Times: 2},
		"cut at 0":            {Cut: servers.At(0), Times: 2},
		"cut in the middle":   {Cut: servers.At(300_000), Times: 2},
		"stall at 0":          {Stall: servers.At(0), Times: 1},
		"stall in the middle": {Stall: servers.At(300_000), Times: 1},
		"late":                {Delay: 100 * time.Millisecond, Times: 1},
	} {
		t.Run(name, func(t *testing.T) {
			p := servers.StartFaultProxy(t, srv.Endpoint)
			b := s3Driver(t, s3store.Options{Endpoint: p.Endpoint})
			obj := listS3(t, b, "s3://faults/dir")["big"].Entry("big").Object()
			before := p.Count(func(method, path string) bool { return method == http.MethodGet && strings.Contains(path, "big") })
			f.Match = func(r *http.Request) bool { return r.Method == http.MethodGet }
			p.Inject(f)
			got, err := readS3(t, b, obj, 100_000, 800_000)
			if err != nil || got != string(data[100_000:900_000]) {
				t.Fatalf("%d bytes, %v", len(got), err)
			}
			gets := p.Count(func(method, path string) bool { return method == http.MethodGet && strings.Contains(path, "big") }) - before
			if want := f.Times + 1; gets != want && f.Delay == 0 {
				t.Errorf("%d GETs, want %d", gets, want)
			}
		})
	}
}

// TestS3WithoutVersionRights: where versions can't be listed, the listing is the
// same but for the requests it takes.
func TestS3WithoutVersionRights(t *testing.T) {
	srv := shared.s3
	srv.Setenv(t)
	for _, versioned := range []bool{true, false} {
		bucket := fmt.Sprintf("rights-%v", versioned)
		srv.CreateBucket(t, bucket, versioned)
		for i := range 1100 { // two pages
			srv.Put(t, bucket, fmt.Sprintf("dir/%04d", i), []byte("first"))
		}
		srv.Put(t, bucket, "dir/0000", []byte("second"))
		srv.Put(t, bucket, "dir/empty", nil)
		srv.Delete(t, bucket, "dir/0001")
		want := listS3(t, s3Driver(t, s3store.Options{Endpoint: srv.Endpoint}), "s3://"+bucket+"/dir")
		p := servers.StartFaultProxy(t, srv.Endpoint)
		p.Inject(servers.Fault{Status: 403, Code: "AccessDenied", Match: func(r *http.Request) bool { return r.URL.Query().Has("versions") }})
		got := listS3(t, s3Driver(t, s3store.Options{Endpoint: p.Endpoint}), "s3://"+bucket+"/dir")
		if len(got) != 1100 || len(want) != 1100 {
			t.Fatalf("versioned=%v: %d and %d objects, want 1100", versioned, len(want), len(got))
		}
		for name, w := range want {
			g := got[name]
			if g.Digest != w.Digest || g.Size != w.Size || g.Ref != w.Ref || fmt.Sprint(g.Extra) != fmt.Sprint(w.Extra) || !g.ModTime.Equal(w.ModTime) {
				t.Fatalf("versioned=%v: %q: got %+v, want %+v", versioned, name, g, w)
			}
		}
		heads := p.Count(func(method, _ string) bool { return method == http.MethodHead })
		if want := map[bool]int{true: 1102, false: 3}[versioned]; heads != want { // the URI itself, the probe, the empty one
			t.Errorf("versioned=%v: %d HEADs, want %d", versioned, heads, want)
		}
	}
}

// TestS3Suspended: versions come and go; "null" is none, and its bytes are pinned
// by their ETag.
func TestS3Suspended(t *testing.T) {
	srv := shared.s3
	srv.Setenv(t)
	srv.CreateBucket(t, "suspended", true)
	_, v1 := srv.Put(t, "suspended", "dir/a", []byte("one"))
	b := s3Driver(t, s3store.Options{Endpoint: srv.Endpoint})
	first := listS3(t, b, "s3://suspended/dir")["a"].Entry("a").Object()
	srv.SetVersioning(t, "suspended", false)
	srv.Put(t, "suspended", "dir/a", []byte("two"))
	info := listS3(t, b, "s3://suspended/dir")["a"]
	second := info.Entry("a").Object()
	if first.Pin.Value != v1 || second.Pin.Kind != manifest.PinETag || info.Extra["versionID"] != nil {
		t.Errorf("pins %v (want %s) and %v, extra %v", first.Pin, v1, second.Pin, info.Extra)
	}
	srv.SetVersioning(t, "suspended", true)
	srv.Put(t, "suspended", "dir/a", []byte("three"))
	for obj, want := range map[manifest.Object]string{first: "one", second: "two"} {
		if got, err := readS3(t, b, obj, 0, -1); got != want || err != nil {
			t.Errorf("%v: %q, %v; want %q", obj.Pin, got, err, want)
		}
	}
}

// TestS3OlderByETag: a pin without a version id (from a manifest that lost it, or
// made before versions) is found among older versions, as W&B does.
func TestS3OlderByETag(t *testing.T) {
	srv := shared.s3
	srv.Setenv(t)
	srv.CreateBucket(t, "older", true)
	etag, _ := srv.Put(t, "older", "dir/a", []byte("wanted"))
	for i := range 5 {
		srv.Put(t, "older", "dir/a", fmt.Appendf(nil, "later %d", i))
	}
	srv.Put(t, "older", "dir/a2", []byte("wanted")) // the same ETag at another key
	b := s3Driver(t, s3store.Options{Endpoint: srv.Endpoint})
	obj := manifest.Entry{Ref: "s3://older/dir/a", Digest: etag, Size: 6}.Object()
	for _, deleted := range []bool{false, true} {
		if deleted {
			srv.Delete(t, "older", "dir/a")
			b = s3Driver(t, s3store.Options{Endpoint: srv.Endpoint}) // it remembers nothing
		}
		if got, err := readS3(t, b, obj, 2, 3); got != "nte" || err != nil {
			t.Errorf("deleted=%v: %q, %v", deleted, got, err)
		}
	}
	obj = manifest.Entry{Ref: "s3://older/dir/a", Digest: "ffffffffffffffffffffffffffffffff", Size: 6}.Object()
	if _, err := readS3(t, b, obj, 0, -1); manifest.KindOf(err) != manifest.KindGone {
		t.Errorf("an ETag that never was: %v", err)
	}
}

// TestS3Sums: what the server vouches for without the content being read, and that
// it is true. An ETag is an MD5 if the object came in one piece.
func TestS3Sums(t *testing.T) {
	srv := shared.s3
	srv.Setenv(t)
	srv.CreateBucket(t, "sums", true)
	contents := map[string][]byte{"small": []byte("small"), "sdk": bytes.Repeat([]byte("sdk"), 1_000_000), "parts": bytes.Repeat([]byte("parts"), 1_300_000)}
	srv.Put(t, "sums", "dir/small", contents["small"])
	srv.PutMultipart(t, "sums", "dir/parts", contents["parts"], 5<<20)
	if _, err := srv.Client(t).PutObject(t.Context(), &s3.PutObjectInput{Bucket: aws.String("sums"), Key: aws.String("dir/sdk"),
		Body: bytes.NewReader(contents["sdk"]), ChecksumAlgorithm: types.ChecksumAlgorithmCrc32}); err != nil {
		t.Fatal(err)
	}
	p := servers.StartFaultProxy(t, srv.Endpoint)
	b := s3Driver(t, s3store.Options{Endpoint: p.Endpoint})
	for name, i := range listS3(t, b, "s3://sums/dir") {
		info, err := b.Stat(t.Context(), i.Entry(name).Object())
		if err != nil {
			t.Fatal(err)
		}
		var algs []manifest.SumAlg
		for _, sum := range info.Sums {
			h := sum.Alg.New()
			_, _ = h.Write(contents[name])
			if !bytes.Equal(h.Sum(nil), sum.Value) {
				t.Errorf("%s: %s %x, want %x", name, sum.Alg, sum.Value, h.Sum(nil))
			}
			algs = append(algs, sum.Alg)
		}
		crc := manifest.SumCRC64NVME
		if name == "sdk" {
			crc = manifest.SumCRC32
		}
		if md5 := slices.Contains(algs, manifest.SumMD5); md5 != (name != "parts") || !slices.Contains(algs, crc) {
			t.Errorf("%s: sums %v, etag %s", name, algs, info.Digest)
		}
	}
	if n := p.Suite().Seen(backendtest.DataOp); n != 0 {
		t.Errorf("%d requests for content, want none", n)
	}
}

// TestS3Anonymous: a public bucket needs no credentials, another is refused.
func TestS3Anonymous(t *testing.T) {
	srv := shared.s3
	srv.Setenv(t)
	t.Setenv("AWS_ACCESS_KEY_ID", "")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "")
	b := s3Driver(t, s3store.Options{Endpoint: srv.Endpoint, Anonymous: true})
	for _, bucket := range []string{"anyone", "nobody"} {
		srv.CreateBucket(t, bucket, true)
		srv.Put(t, bucket, "dir/a", []byte("public"))
	}
	srv.AllowPublic(t, "anyone")
	obj := listS3(t, b, "s3://anyone/dir")["a"].Entry("a").Object()
	if got, err := readS3(t, b, obj, 0, -1); got != "public" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
	obj.Ref = "s3://nobody/dir/a"
	if _, err := readS3(t, b, obj, 0, -1); manifest.KindOf(err) != manifest.KindDenied || !strings.Contains(err.Error(), "AccessDenied") {
		t.Errorf("%v", err)
	}
	err := b.List(t.Context(), "s3://nobody/dir", func(backends.Info) error { return nil })
	if manifest.KindOf(err) != manifest.KindDenied {
		t.Errorf("%v", err)
	}
}
