package manifest_test

import (
	"crypto/md5"
	"encoding/base64"
	"encoding/json"
	"testing"

	"github.com/pinfs/pinfs/manifest"
)

func b64md5(s string) string {
	sum := md5.Sum([]byte(s))
	return base64.StdEncoding.EncodeToString(sum[:])
}

func TestObjectPin(t *testing.T) {
	type extra = map[string]any
	content := b64md5("content")
	azure := "https://acct.blob.core.windows.net/c/100% b"
	for _, c := range []struct {
		name, ref, digest string
		size              int64
		extra             extra
		want              string // Pin.String
		sum               bool
	}{
		{"s3 version", "s3://b/k", "e", 1, extra{"etag": "e", "versionID": "v"}, "version:v", false},
		{"s3 version null", "s3://b/k", "e", 1, extra{"etag": "e", "versionID": "null"}, "etag:e", false},
		{"s3 empty version", "s3://b/k", "e", 1, extra{"etag": "e", "versionID": ""}, "etag:e", false},
		{"s3 ETag", "s3://b/k", "d", 1, extra{"etag": "e"}, "etag:e", false},
		{"s3 only a digest", "s3://b/k", "d41d8cd98f00b204e9800998ecf8427e-3", 1, nil, "etag:d41d8cd98f00b204e9800998ecf8427e-3", false},
		{"s3 base64 digest is no MD5", "s3://b/k", content, 1, nil, "etag:" + content, false},
		{"s3 unchecked", "s3://b/k", "s3://b/k", manifest.SizeUnknown, nil, "none", false},
		{"s3 unchecked, version typed", "s3://b/k", "s3://b/k?versionId=v", manifest.SizeUnknown, nil, "none", false},
		{"s3 unchecked with a version", "s3://b/k", "s3://b/k", 1, extra{"versionID": "v"}, "version:v", false},
		{"s3 upper case", "S3://b/k", "e", 1, extra{"versionID": "v"}, "version:v", false},
		{"s3 version of a wrong type", "s3://b/k", "e", 1, extra{"versionID": []any{"v"}}, "etag:e", false},

		{"gs generation", "gs://b/k", "CKih16GjycICEAE=", 1, extra{"versionID": json.Number("1663006547236893812")}, "generation:1663006547236893812", false},
		{"gs generation as text", "gs://b/k", "CKih16GjycICEAE=", 1, extra{"versionID": "1663006547236893812"}, "generation:1663006547236893812", false},
		{"gs before 0.17", "gs://b/k", content, 1, extra{"versionID": json.Number("16"), "etag": "CKih16GjycICEAE="}, "generation:16", true},
		{"gs ETag", "gs://b/k", "CKih16GjycICEAE=", 1, nil, "etag:CKih16GjycICEAE=", false},
		{"gs MD5 alone", "gs://b/k", content, 1, nil, "md5:" + content, true},
		{"gs MD5 and ETag", "gs://b/k", content, 1, extra{"etag": "CKih16GjycICEAE="}, "etag:CKih16GjycICEAE=", true},
		{"gs unchecked", "gs://b/k", "gs://b/k", manifest.SizeUnknown, nil, "none", false},

		{"azblob version", "azblob://acct/c/k", "0x8D", 1, extra{"etag": "0x8D", "versionID": "2024-01-01T00:00:00.0000000Z"}, "version:2024-01-01T00:00:00.0000000Z", false},
		{"azblob ETag", "azblob://acct/c/k", "0x8D", 1, extra{"etag": "0x8D"}, "etag:0x8D", false},
		{"azure version", azure, "0x8D", 1, extra{"etag": "0x8D", "versionID": "v"}, "version:v", false},
		{"azure ETag", azure, "0x8D", 1, extra{"etag": "0x8D"}, "etag:0x8D", false},
		{"azure digest", azure, "0x8D", 1, nil, "etag:0x8D", false},
		{"azure unchecked", azure, azure, manifest.SizeUnknown, nil, "none", false},
		{"azure host by name only", "https://acct.blob.core.windows.net.evil.org/c/k", "0x8D", 1, extra{"etag": `"0x8D"`, "versionID": "v"}, `etag:"0x8D"`, false},
		{"azure host in the path", "https://evil.org/x.blob.core.windows.net", "0x8D", 1, extra{"versionID": "v"}, `etag:"0x8D"`, false},
		{"azure without TLS", "http://acct.blob.core.windows.net/c/k", "0x8D", 1, extra{"versionID": "v"}, `etag:"0x8D"`, false},

		{"http quotes", "http://h/a?b=c", "e", 1, extra{"etag": `"e"`}, `etag:"e"`, false},
		{"http weak", "https://h/a", `W/"e"`, 1, extra{"etag": `W/"e"`}, `etag:W/"e"`, false},
		{"http weak by digest", "https://h/a", `W/"e"`, 1, nil, `etag:W/"e"`, false},
		{"http by digest", "https://h/a", "e", 1, nil, `etag:"e"`, false},
		{"http no ETag", "https://h/a", "https://h/a", 1, nil, "none", false},
		{"http no ETag, redirected", "https://cdn/a", "https://h/a", 1, nil, "none", false},

		{"file", "file:///a", content, 7, nil, "md5:" + content, true},
		{"file, empty", "file:///a", b64md5(""), 0, nil, "md5:" + b64md5(""), true},
		{"file, size unknown", "file:///a", content, manifest.SizeUnknown, nil, "md5:" + content, true},
		{"file unchecked, URI", "file:///a b/é", b64md5("file:///a%20b/%C3%A9"), 7, nil, "none", false},
		{"file unchecked, bare URI", "file:///a b", b64md5("file:///a b"), 7, nil, "none", false},
		{"file unchecked, size", "file:///a", b64md5("7"), 7, nil, "none", false},
		{"file of one 1", "file:///a", b64md5("1"), 1, nil, "md5:" + b64md5("1"), true},
		{"file of a 7", "file:///a", b64md5("7"), 1, nil, "md5:" + b64md5("7"), true},
		{"file unchecked, whole", "file:///a", "file:///a", manifest.SizeUnknown, nil, "none", false},
		{"file, no MD5", "file:///a", "abc", 7, nil, "none", false},

		{"mem version", "mem://b/k", "e", 1, extra{"versionID": "2"}, "version:2", false},
		{"mem ETag", "mem://b/k", "e", 1, extra{"etag": "e"}, "etag:e", false},
		{"W&B's own", "", content, 7, nil, "none", true},
		{"another artifact", "wandb-artifact://41/a", "d", 7, extra{"versionID": "v"}, "none", false},
		{"unknown", "hf://x/y", "d", 7, extra{"etag": "d", "versionID": "v"}, "none", false},
		{"no scheme", "b/k", "d", 7, nil, "none", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := manifest.Entry{Path: "p", Digest: c.digest, Ref: c.ref, Size: c.size, Extra: c.extra}.Object()
			if got := o.Pin.String(); got != c.want {
				t.Errorf("got pin %s, want %s", got, c.want)
			}
			if o.Ref != c.ref || o.Digest != c.digest || o.Size != c.size {
				t.Errorf("got %+v, want the entry's own fields", o)
			}
			sum, ok := o.Sum()
			if ok != c.sum || ok && (sum.Alg != manifest.SumMD5 || base64.StdEncoding.EncodeToString(sum.Value) != c.digest) {
				t.Errorf("got sum %+v, %v, want one: %v", sum, ok, c.sum)
			}
		})
	}
}

// Fields that run together must not give one key.
func TestObjectKey(t *testing.T) {
	pin := manifest.Pin{Kind: manifest.PinVersion, Value: "v"}
	keys := make(map[[32]byte]int)
	for i, o := range []manifest.Object{
		{},
		{Ref: "a", Digest: "b"},
		{Ref: "ab"},
		{Digest: "ab"},
		{Ref: "a", Digest: "b", Size: 1},
		{Ref: "a", Digest: "b", Size: manifest.SizeUnknown},
		{Ref: "a", Digest: "b", Pin: pin},
		{Ref: "a", Digest: "b", Pin: manifest.Pin{Kind: manifest.PinETag, Value: "v"}},
		{Ref: "a", Digest: "b", Pin: manifest.Pin{Kind: manifest.PinVersion}},
	} {
		if other, twice := keys[o.Key()]; twice {
			t.Errorf("objects %d and %d have the same key", other, i)
		}
		keys[o.Key()] = i
		if again := o; again.Key() != o.Key() {
			t.Errorf("object %d: the key changes", i)
		}
	}
}
