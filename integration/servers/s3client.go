package servers

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
)

// Client gives the SDK client of this server, for what the methods below don't do.
func (s *S3) Client(testing.TB) *s3.Client { return s.client }

func (s *S3) newClient() *s3.Client {
	return s3.New(s3.Options{
		HTTPClient:                 &http.Client{Transport: s.transport},
		BaseEndpoint:               aws.String(s.Endpoint),
		Region:                     s.Region,
		UsePathStyle:               true,
		Credentials:                credentials.NewStaticCredentialsProvider(s.AccessKey, s.SecretKey, ""),
		RequestChecksumCalculation: aws.RequestChecksumCalculationWhenRequired,
		ResponseChecksumValidation: aws.ResponseChecksumValidationWhenRequired,
	})
}

// CreateBucket makes a bucket that keeps versions, or never had them.
func (s *S3) CreateBucket(t testing.TB, name string, versioned bool) {
	t.Helper()
	if _, err := s.Client(t).CreateBucket(ctx(t), &s3.CreateBucketInput{Bucket: &name}); err != nil {
		t.Fatalf("create bucket %s: %v", name, err)
	}
	if versioned {
		s.SetVersioning(t, name, true)
	}
}

// SetVersioning turns the versions of a bucket on, or suspends them.
func (s *S3) SetVersioning(t testing.TB, bucket string, on bool) {
	t.Helper()
	status := types.BucketVersioningStatusSuspended
	if on {
		status = types.BucketVersioningStatusEnabled
	}
	_, err := s.Client(t).PutBucketVersioning(ctx(t), &s3.PutBucketVersioningInput{
		Bucket: &bucket, VersioningConfiguration: &types.VersioningConfiguration{Status: status},
	})
	if err != nil {
		t.Fatalf("versioning of bucket %s: %v", bucket, err)
	}
}

// Put writes an object. etag has no quotes; version is "" in a bucket without
// versions.
func (s *S3) Put(t testing.TB, bucket, key string, data []byte) (etag, version string) {
	t.Helper()
	out, err := s.Client(t).PutObject(ctx(t), &s3.PutObjectInput{Bucket: &bucket, Key: &key, Body: bytes.NewReader(data)})
	if err != nil {
		t.Fatalf("put s3://%s/%s: %v", bucket, key, err)
	}
	return unquote(out.ETag), aws.ToString(out.VersionId)
}

// PutMultipart writes an object in parts of partSize bytes, at least 5 MiB but
// for the last one; its ETag is no MD5.
func (s *S3) PutMultipart(t testing.TB, bucket, key string, data []byte, partSize int) (etag, version string) {
	t.Helper()
	return s.PutStream(t, bucket, key, bytes.NewReader(data), partSize)
}

// PutStream is PutMultipart of what r gives; it holds one part in memory.
func (s *S3) PutStream(t testing.TB, bucket, key string, r io.Reader, partSize int) (etag, version string) {
	t.Helper()
	c := s.Client(t)
	up, err := c.CreateMultipartUpload(ctx(t), &s3.CreateMultipartUploadInput{Bucket: &bucket, Key: &key})
	if err != nil {
		t.Fatalf("start the parts of s3://%s/%s: %v", bucket, key, err)
	}
	out, err := c.CompleteMultipartUpload(ctx(t), &s3.CompleteMultipartUploadInput{
		Bucket: &bucket, Key: &key, UploadId: up.UploadId,
		MultipartUpload: &types.CompletedMultipartUpload{Parts: s.putParts(t, up, r, partSize)},
	})
	if err != nil {
		t.Fatalf("complete s3://%s/%s: %v", bucket, key, err)
	}
	return unquote(out.ETag), aws.ToString(out.VersionId)
}

func (s *S3) putParts(t testing.TB, up *s3.CreateMultipartUploadOutput, r io.Reader, partSize int) (parts []types.CompletedPart) {
	t.Helper()
	buf := make([]byte, partSize)
	for {
		n, err := io.ReadFull(r, buf)
		if n == 0 {
			return parts
		}
		if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Fatal(err)
		}
		number := int32(len(parts) + 1)
		out, err := s.Client(t).UploadPart(ctx(t), &s3.UploadPartInput{
			Bucket: up.Bucket, Key: up.Key, UploadId: up.UploadId, PartNumber: &number, Body: bytes.NewReader(buf[:n]),
		})
		if err != nil {
			t.Fatalf("put part %d of s3://%s/%s: %v", number, *up.Bucket, *up.Key, err)
		}
		parts = append(parts, types.CompletedPart{PartNumber: &number, ETag: out.ETag})
	}
}

// Delete deletes an object; in a bucket with versions it becomes a delete marker.
func (s *S3) Delete(t testing.TB, bucket, key string) {
	t.Helper()
	s.delete(t, bucket, key, nil)
}

// DeleteVersion removes one version for good.
func (s *S3) DeleteVersion(t testing.TB, bucket, key, version string) {
	t.Helper()
	s.delete(t, bucket, key, &version)
}

func (s *S3) delete(t testing.TB, bucket, key string, version *string) {
	t.Helper()
	_, err := s.Client(t).DeleteObject(ctx(t), &s3.DeleteObjectInput{Bucket: &bucket, Key: &key, VersionId: version})
	if err != nil {
		t.Fatalf("delete s3://%s/%s: %v", bucket, key, err)
	}
}

// AllowPublic lets everybody list and read the bucket, without credentials.
func (s *S3) AllowPublic(t testing.TB, bucket string) {
	t.Helper()
	policy := strings.ReplaceAll(`{"Version":"2012-10-17","Statement":[
		{"Effect":"Allow","Principal":"*","Action":["s3:GetObject","s3:GetObjectVersion"],"Resource":"arn:aws:s3:::BUCKET/*"},
		{"Effect":"Allow","Principal":"*","Action":["s3:ListBucket","s3:ListBucketVersions"],"Resource":"arn:aws:s3:::BUCKET"}]}`, "BUCKET", bucket)
	if _, err := s.Client(t).PutBucketPolicy(ctx(t), &s3.PutBucketPolicyInput{Bucket: &bucket, Policy: &policy}); err != nil {
		t.Fatalf("policy of bucket %s: %v", bucket, err)
	}
}

// ctx is the test's context; what a Cleanup calls runs after that has ended.
func ctx(t testing.TB) context.Context {
	if t.Context().Err() != nil {
		return context.Background()
	}
	return t.Context()
}

func unquote(etag *string) string { return strings.Trim(aws.ToString(etag), `"`) }
