package manifest_test

import (
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/pinfs/pinfs/manifest"
)

func TestScheme(t *testing.T) {
	for uri, want := range map[string]string{
		"s3://b/k": "s3", "S3://b": "s3", "https://h": "https", "wandb-artifact://x/y": "wandb-artifact", "a+b.c-1://": "a+b.c-1",
		"": "", "/a/b": "", "a://": "a", "://x": "", "/tmp/a://b": "", "a b://c": "", "3s://b": "", "s3:/b": "", "é://x": "", "s3:": "",
	} {
		if got := manifest.Scheme(uri); got != want {
			t.Errorf("%q: got %q, want %q", uri, got, want)
		}
	}
}

func TestSplitBucketKey(t *testing.T) {
	for _, c := range []struct{ uri, bucket, key, err string }{
		{"s3://b/k", "b", "k", ""},
		{"s3://b", "b", "", ""},
		{"s3://b/", "b", "", ""},
		{"s3://b/d/", "b", "d/", ""},
		{"s3://b//k", "b", "/k", ""},
		{"s3://b/a//b", "b", "a//b", ""},
		{"s3://b/a?versionId=x#y%20+ z", "b", "a?versionId=x#y%20+ z", ""},
		{"s3://b/../a", "b", "../a", ""},
		{"s3://b/a://c", "b", "a://c", ""},
		{"gs://B_u.c-1/é", "B_u.c-1", "é", ""},
		{"azblob://acct/container/k", "acct", "container/k", ""},
		{"mem://b/k", "b", "k", ""},

		{"b/k", "", "", "no scheme"},
		{"", "", "", "no scheme"},
		{"s3://", "", "", "no bucket"},
		{"s3:///k", "", "", "no bucket"},
		{"s3://b?versionId=x", "", "", `bucket with '?'`},
		{"s3://b c/k", "", "", `bucket with ' '`},
		{"s3://b\u2003c/k", "", "", `bucket with`},
		{"s3://b\n/k", "", "", `bucket with '\n'`},
		{"s3://b%20/k", "", "", `bucket with '%'`},
		{"s3://key:secret@b/k", "", "", `bucket with '@'`},
	} {
		t.Run(c.uri, func(t *testing.T) {
			bucket, key, err := manifest.SplitBucketKey(c.uri)
			checkError(t, err, c.err)
			if bucket != c.bucket || key != c.key {
				t.Errorf("got %q and %q, want %q and %q", bucket, key, c.bucket, c.key)
			}
		})
	}
}

func TestURIErrorsHoldNoSecret(t *testing.T) {
	for _, uri := range []string{"s3://key:canary@b/k", "s3://b?sig=canary", "user:canary@b/k?sig=canary", "s3://a@canary@b", "s3://canary@"} {
		_, _, err := manifest.SplitBucketKey(uri)
		if err == nil || strings.Contains(err.Error(), "canary") {
			t.Errorf("%s: got %v, want an error without the secret", uri, err)
		}
	}
}

func TestSplitBucketKeyKeepsEveryKey(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := rapid.String().Draw(t, "key")
		bucket, key, err := manifest.SplitBucketKey("s3://bucket/" + want)
		if err != nil || bucket != "bucket" || key != want {
			t.Fatalf("got %q and %q (%v), want %q", bucket, key, err, want)
		}
	})
}

func TestSplitVersion(t *testing.T) {
	for _, c := range []struct{ uri, base, version string }{
		{"s3://b/k", "s3://b/k", ""},
		{"s3://b/k?versionId=x.Y_-1", "s3://b/k", "x.Y_-1"},
		{"s3://b/k?versionId=null", "s3://b/k", "null"},
		{"s3://b/k?v=1?versionId=x", "s3://b/k?v=1", "x"},
		{"s3://b/k?versionId=a?versionId=b", "s3://b/k?versionId=a", "b"},
		{"s3://b/k#1?versionId=x", "s3://b/k#1", "x"},
		{"s3://b/k?versionId=", "s3://b/k?versionId=", ""},
		{"s3://b/k?versionId=a/b", "s3://b/k?versionId=a/b", ""},
		{"s3://b/k?versionId=a&x=1", "s3://b/k?versionId=a&x=1", ""},
		{"s3://b/k?versionid=a", "s3://b/k?versionid=a", ""},
		{"s3://b/k#12", "s3://b/k#12", ""},
		{"s3://b/k?", "s3://b/k?", ""},
		{"mem://b/k?versionId=2", "mem://b/k", "2"},
		{"azblob://a/c/k?versionId=2024-01-01T00:00:00.0000000Z", "azblob://a/c/k", "2024-01-01T00:00:00.0000000Z"},
		{"https://a.blob.core.windows.net/c/k?versionId=v", "https://a.blob.core.windows.net/c/k", "v"},
		{"https://h/k?versionId=v", "https://h/k?versionId=v", ""},
		{"gs://b/k#1663006547236893812", "gs://b/k", "1663006547236893812"},
		{"gs://b/k#1#2", "gs://b/k#1", "2"},
		{"gs://b/k#", "gs://b/k#", ""},
		{"gs://b/k#1a", "gs://b/k#1a", ""},
		{"gs://b/k#-1", "gs://b/k#-1", ""},
		{"gs://b/k?versionId=1", "gs://b/k?versionId=1", ""},
		{"file:///a?versionId=1", "file:///a?versionId=1", ""},
		{"/a?versionId=1", "/a?versionId=1", ""},
	} {
		t.Run(c.uri, func(t *testing.T) {
			if base, version := manifest.SplitVersion(c.uri); base != c.base || version != c.version {
				t.Errorf("got %q and %q, want %q and %q", base, version, c.base, c.version)
			}
		})
	}
}
