package servers_test

import (
	"bytes"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/pinfs/pinfs/integration/servers"
)

// TestS3 checks that both servers are one: versions, parts, deletes, a restart.
func TestS3(t *testing.T) {
	for name, start := range map[string]func(testing.TB) *servers.S3{"versitygw": servers.StartS3, "minio": servers.StartMinIO} {
		t.Run(name, func(t *testing.T) { testS3(t, start(t)) })
	}
}

func testS3(t *testing.T, srv *servers.S3) {
	srv.CreateBucket(t, "bucket", true)
	etag1, v1 := srv.Put(t, "bucket", "dir/a", []byte("one"))
	etag2, v2 := srv.Put(t, "bucket", "dir/a", []byte("two"))
	if v1 == "" || v1 == v2 || etag1 == etag2 || len(etag1) != 32 {
		t.Fatalf("versions %q, %q; etags %q, %q", v1, v2, etag1, etag2)
	}
	srv.Delete(t, "bucket", "dir/a")
	srv.Restart(t)
	if got := get(t, srv, "bucket", "dir/a", v1); got != "one" {
		t.Errorf("first version after a delete and a restart: %q", got)
	}
	etag, _ := srv.PutMultipart(t, "bucket", "parts", bytes.Repeat([]byte("x"), 6<<20), 5<<20)
	if !strings.HasSuffix(etag, "-2") {
		t.Errorf("etag of two parts: %q", etag)
	}
	srv.CreateBucket(t, "plain", false)
	if _, v := srv.Put(t, "plain", "a", nil); v != "" {
		t.Errorf("version %q in a bucket without versions", v)
	}
}

func get(t *testing.T, srv *servers.S3, bucket, key, version string) string {
	t.Helper()
	in := &s3.GetObjectInput{Bucket: &bucket, Key: &key}
	if version != "" {
		in.VersionId = &version
	}
	out, err := srv.Client(t).GetObject(t.Context(), in)
	if err != nil {
		t.Fatal(err)
	}
	defer out.Body.Close()
	data, err := io.ReadAll(out.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func TestAllowPublic(t *testing.T) {
	for name, srv := range map[string]*servers.S3{"versitygw": s3s.Get(t), "minio": minio.Get(t)} {
		t.Run(name, func(t *testing.T) { testAllowPublic(t, srv) })
	}
}

func testAllowPublic(t *testing.T, srv *servers.S3) {
	open, shut := fresh("open"), fresh("shut")
	srv.CreateBucket(t, open, true)
	srv.CreateBucket(t, shut, true)
	srv.AllowPublic(t, open)
	for bucket, want := range map[string]int{open: 200, shut: 403} {
		srv.Put(t, bucket, "a", []byte("x"))
		resp, err := http.Get(srv.Endpoint + "/" + bucket + "/a")
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != want {
			t.Errorf("%s: %d, want %d", bucket, resp.StatusCode, want)
		}
	}
}
