package gcsstore

import (
	"strconv"
	"strings"

	"github.com/pinfs/pinfs/backends"
	"github.com/pinfs/pinfs/manifest"
)

const scheme = "gs"

// place is one object, or the start of many, and possibly its generation.
type place struct {
	bucket, key string
	generation  int64 // 0: the current one
}

// ref is what a manifest records.
func (p place) ref() string { return scheme + "://" + p.bucket + "/" + p.key }

// parseRef splits a recorded reference: all behind the bucket is the key.
func parseRef(op, ref string) (place, error) {
	bucket, key, err := manifest.SplitBucketKey(ref)
	if err != nil || manifest.Scheme(ref) != scheme || strings.Trim(bucket, ".") == "" { // "..", in the path, would mean another one
		return place{}, backends.Invalid(op, ref, "not a reference to Google Cloud Storage", "write gs://bucket/key")
	}
	return place{bucket: bucket, key: key}, nil
}

// parseURI splits what a person types: a reference, possibly with '#' and a
// generation at its very end. A '#' elsewhere belongs to the key, and what can be
// no generation ("#0") does too.
func parseURI(op, uri string) (place, error) {
	base, version := manifest.SplitVersion(uri)
	if n, err := strconv.ParseInt(version, 10, 64); err == nil && n > 0 {
		if p, err := parseRef(op, base); err == nil && p.key != "" {
			p.generation = n
			return p, nil
		}
	}
	return parseRef(op, uri)
}

func parseGeneration(op, ref, text string) (int64, error) {
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n <= 0 {
		return 0, backends.Invalid(op, ref, "'"+text+"' is no generation", "")
	}
	return n, nil
}

// pinned is what a call asks for: a place and what must be there.
type pinned struct {
	place
	obj manifest.Object
}

// parsePin gives what obj means. KindUnsupported when nothing pins it. The
// generation is 0 when only the content or the ETag is known.
func parsePin(op string, obj manifest.Object) (pinned, error) {
	at, err := parseRef(op, obj.Ref)
	if err != nil {
		return pinned{}, err
	}
	if at.key == "" {
		return pinned{}, backends.Invalid(op, obj.Ref, "the reference has no key", "")
	}
	p := pinned{place: at, obj: obj}
	switch obj.Pin.Kind {
	case manifest.PinGeneration:
		p.generation, err = parseGeneration(op, obj.Ref, obj.Pin.Value)
	case manifest.PinMD5, manifest.PinETag:
	default:
		err = backends.Unpinned(op, obj)
	}
	return p, err
}

// isAt tells whether an object in this state is the pinned one, by what pins it
// without a generation.
func (p pinned) isAt(st state) bool { return p.told(st) == p.obj.Pin.Value }

// told is what st says of the kind that pins p: an MD5 in base64, or an ETag.
func (p pinned) told(st state) string {
	if p.obj.Pin.Kind == manifest.PinMD5 {
		return st.md5
	}
	return st.etag
}
