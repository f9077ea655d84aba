package integration_test

import (
	"fmt"
	"maps"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/pinfs/pinfs/backends"
	"github.com/pinfs/pinfs/backends/backendtest"
	"github.com/pinfs/pinfs/backends/s3store"
	"github.com/pinfs/pinfs/integration/servers"
	"github.com/pinfs/pinfs/manifest"
)

// TestS3Conformance runs the suite of all backends against a real server, the
// driver by itself over versions and stacked as the command has it without.
func TestS3Conformance(t *testing.T) {
	s := &s3Suite{server: shared.s3, cannot: versitygwCannot()}
	t.Run("versions", func(t *testing.T) { s.run(t, true) })
	s.wrap = true
	t.Run("no versions, wrapped", func(t *testing.T) { s.run(t, false) })
}

// TestMinIOConformance is the same with another implementation.
func TestMinIOConformance(t *testing.T) {
	s := &s3Suite{server: shared.minio.Get(t), cannot: minioCannot()}
	t.Run("versions", func(t *testing.T) { s.run(t, true) })
	t.Run("no versions", func(t *testing.T) { s.run(t, false) })
}

// s3Suite runs the suite on one server, each case in a bucket of its own.
type s3Suite struct {
	server  *servers.S3
	cannot  map[string]string
	wrap    bool
	buckets atomic.Int64
}

func (s *s3Suite) run(t *testing.T, versioned bool) {
	s.server.Setenv(t)
	f := backendtest.Fixture{
		New:           func(t *testing.T) backendtest.Source { return s.source(t, versioned) },
		Features:      s3Features(versioned),
		NotApplicable: maps.Clone(s.cannot),
	}
	if s.wrap {
		f.NoFaults = "they are for drivers, before they are wrapped"
	}
	if !versioned {
		for _, name := range []string{"version deleted", "record a named version", "record a version that never was"} {
			f.NotApplicable[name] = "the bucket keeps no versions"
		}
	}
	backendtest.Run(t, f)
}

func s3Features(versioned bool) backendtest.Features {
	f := backendtest.Features{Versioned: versioned, Digest: backendtest.HexMD5, Extra: []string{"etag"}, ModTime: true}
	if versioned {
		f.Extra = []string{"etag", "versionID"}
		f.VersionMark = "?versionId="
	}
	return f
}

// versitygwCannot names what a server over a file system can't hold.
func versitygwCannot() map[string]string {
	return map[string]string{
		"list an object that is a prefix too": "it refuses a key below another key (409)",
		"odd key: doubled slash":              "it makes a/b of a//b",
		"odd key: dot component":              "it makes a/b of a/./b",
		"odd key: two-dot component":          "it makes b of a/../b",
	}
}

func minioCannot() map[string]string {
	return map[string]string{
		"list an object that is a prefix too": "it hides a key below another key",
		"odd key: doubled slash":              "it refuses a//b (400)",
		"odd key: dot component":              "it refuses a/./b (400)",
		"odd key: two-dot component":          "it refuses a/../b (400)",
	}
}

func (s *s3Suite) source(t *testing.T, versioned bool) backendtest.Source {
	t.Helper()
	bucket := fmt.Sprintf("conformance-%v-%d", versioned, s.buckets.Add(1))
	s.server.CreateBucket(t, bucket, versioned)
	p := servers.StartFaultProxy(t, s.server.Endpoint)
	var b backends.Backend
	b, err := s3store.New(t.Context(), s3store.Options{Endpoint: p.Endpoint, Retry: backendtest.Retry()})
	if err != nil {
		t.Fatal(err)
	}
	if s.wrap {
		b = backends.Wrap(b, backends.Options{})
	}
	w := s3Writer{t, s.server.Client(t), bucket}
	return backendtest.Source{
		Backend: b,
		Root:    "s3://" + bucket + "/root",
		Missing: "s3://no-such-bucket-here/root",
		Put:     w.put, Delete: w.delete, DeleteVersion: w.deleteVersion,
		Faults: p.Suite(), Quiet: p.Quiet,
	}
}

// s3Writer writes below root/ of a bucket.
type s3Writer struct {
	t      *testing.T
	client *s3.Client
	bucket string
}

func (w s3Writer) put(key string, data []byte) error {
	_, err := w.client.PutObject(w.t.Context(), &s3.PutObjectInput{
		Bucket: &w.bucket, Key: aws.String("root/" + key), Body: strings.NewReader(string(data)),
	})
	return err
}

func (w s3Writer) delete(key string) error {
	_, err := w.client.DeleteObject(w.t.Context(), &s3.DeleteObjectInput{Bucket: &w.bucket, Key: aws.String("root/" + key)})
	return err
}

func (w s3Writer) deleteVersion(obj manifest.Object) error {
	key := strings.TrimPrefix(obj.Ref, "s3://"+w.bucket+"/")
	_, err := w.client.DeleteObject(w.t.Context(), &s3.DeleteObjectInput{Bucket: &w.bucket, Key: &key, VersionId: &obj.Pin.Value})
	return err
}
