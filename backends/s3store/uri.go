package s3store

import (
	"strings"

	"github.com/pinfs/pinfs/backends"
	"github.com/pinfs/pinfs/manifest"
)

const (
	scheme        = "s3"
	versionSuffix = "?versionId="
)

// place is one object, or the start of many, and possibly its version.
type place struct {
	bucket, key, version string
}

// ref is what a manifest records.
func (p place) ref() string { return scheme + "://" + p.bucket + "/" + p.key }

// parseRef splits a recorded reference: all behind the bucket is the key.
func parseRef(op, ref string) (place, error) {
	_, rest, _ := strings.Cut(ref, "://")
	bucket, key, _ := strings.Cut(rest, "/")
	if manifest.Scheme(ref) != scheme || !isBucket(bucket) {
		return place{}, backends.Invalid(op, ref, "not a reference to S3", "write s3://bucket/key")
	}
	return place{bucket: bucket, key: key}, nil
}

// isBucket tells whether a bucket could have this name; old ones have capitals
// and underscores.
func isBucket(name string) bool {
	for _, c := range []byte(name) {
		if !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '.' || c == '-' || c == '_') {
			return false
		}
	}
	return strings.Trim(name, ".") != "" // "..", in the path, would mean another one
}

// parseURI splits what a person types: a reference, possibly with a version at
// its very end. A '?' elsewhere belongs to the key.
func parseURI(op, uri string) (place, error) {
	p, err := parseRef(op, uri)
	if err != nil {
		return place{}, err
	}
	i := strings.LastIndex(p.key, versionSuffix)
	if i < 0 || strings.Contains(p.key[i:], "/") {
		return p, nil
	}
	p.key, p.version = p.key[:i], p.key[i+len(versionSuffix):]
	if p.key == "" || p.version == "" {
		return place{}, backends.Invalid(op, uri, "a version id needs the key of one object", "write s3://bucket/key?versionId=ID")
	}
	return p, nil
}

// pinned is what a call asks for: a place and what must be there.
type pinned struct {
	place
	obj  manifest.Object
	etag string // that the object must have; "" when none was recorded
	byID bool   // pinned by version id: no other version may stand in
}

// parsePin gives what obj means. KindUnsupported when nothing pins it.
func parsePin(op string, obj manifest.Object) (pinned, error) {
	at, err := parseRef(op, obj.Ref)
	if err != nil {
		return pinned{}, err
	}
	if at.key == "" {
		return pinned{}, backends.Invalid(op, obj.Ref, "the reference has no key", "")
	}
	p := pinned{place: at, obj: obj}
	if obj.Digest != obj.Ref {
		p.etag = unquote(obj.Digest)
	}
	switch obj.Pin.Kind {
	case manifest.PinVersion:
		p.version, p.byID = obj.Pin.Value, true
	case manifest.PinETag:
		p.etag = unquote(obj.Pin.Value)
	default:
		return pinned{}, backends.Unpinned(op, obj)
	}
	return p, nil
}

// unquote takes the quotes off an ETag.
func unquote(etag string) string {
	return strings.TrimSuffix(strings.TrimPrefix(etag, `"`), `"`)
}
