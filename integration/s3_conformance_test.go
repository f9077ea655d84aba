package integration_test

import (
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/pinfs/pinfs/backends"
	"github.com/pinfs/pinfs/backends/backendtest"
	"github.com/pinfs/pinfs/backends/s3store"
	"github.com/pinfs/pinfs/manifest"
)

// TestS3Conformance runs the suite of all backends against a real server: the
// driver by itself over versions, and stacked as the command has it without.
func TestS3Conformance(t *testing.T) {
	shared.s3.Setenv(t)
	buckets := new(atomic.Int64)
	run := func(versioned bool, wrap func(backends.Backend) backends.Backend) {
		t.Run(fmt.Sprintf("versioned=%v", versioned), func(t *testing.T) {
			backendtest.Run(t, backendtest.Fixture{
				New:           func(t *testing.T) backendtest.Source { return s3Source(t, buckets, versioned, wrap) },
				Features:      s3Features(versioned),
				NotApplicable: versitygwCannot(versioned),
			})
		})
	}
	run(true, func(b backends.Backend) backends.Backend { return b })
	run(false, func(b backends.Backend) backends.Backend { return backends.Wrap(b, backends.Options{}) })
}

func s3Features(versioned bool) backendtest.Features {
	f := backendtest.Features{Versioned: versioned, Digest: backendtest.HexMD5, Extra: []string{"etag"}, ModTime: true}
	if versioned {
		f.Extra = []string{"etag", "versionID"}
		f.VersionMark = "?versionId="
	}
	return f
}

// versitygwCannot names what a server over a file system can't hold, and what a
// bucket without versions has none of.
func versitygwCannot(versioned bool) map[string]string {
	cannot := map[string]string{
		"list an object that is a prefix too": "it refuses a key below another key (409)",
		"odd key: doubled slash":              "it makes a/b of a//b",
	}
	if !versioned {
		for _, name := range []string{"version deleted", "record a named version", "record a version that never was"} {
			cannot[name] = "the bucket keeps no versions"
		}
	}
	return cannot
}

func s3Source(t *testing.T, buckets *atomic.Int64, versioned bool, wrap func(backends.Backend) backends.Backend) backendtest.Source {
	t.Helper()
	srv := shared.s3
	bucket := fmt.Sprintf("conformance-%d", buckets.Add(1))
	srv.CreateBucket(t, bucket, versioned)
	b, err := s3store.New(t.Context(), s3store.Options{Endpoint: srv.Endpoint})
	if err != nil {
		t.Fatal(err)
	}
	w := s3Writer{t, srv.Client(t), bucket}
	return backendtest.Source{
		Backend: wrap(b),
		Root:    "s3://" + bucket + "/root",
		Missing: "s3://no-such-bucket-here/root",
		Put:     w.put, Delete: w.delete, DeleteVersion: w.deleteVersion,
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
