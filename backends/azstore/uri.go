package azstore

import (
	"strings"
	"time"

	"github.com/pinfs/pinfs/backends"
	"github.com/pinfs/pinfs/manifest"
)

const (
	scheme         = "azblob"
	snapshotSuffix = "?snapshot="
	// snapshotTime is the form of the times that name snapshots.
	snapshotTime = "2006-01-02T15:04:05.0000000Z"

	hintForm = "write https://ACCOUNT.blob.core.windows.net/container/blob or azblob://account/container/blob"
)

// place is one blob, or the start of many, and possibly its version.
type place struct {
	host      string // of an https reference, in lower case; "" for azblob://
	account   string
	container string
	blob      string
	version   string
	snapshot  string // its time; part of the reference
}

// ref is what a manifest records. Names are literal in it.
func (p place) ref() string {
	ref := scheme + "://" + p.account
	if p.host != "" {
		ref = "https://" + p.host
	}
	ref += "/" + p.container + "/" + p.blob
	if p.snapshot != "" {
		ref += snapshotSuffix + p.snapshot
	}
	return ref
}

// parseRef splits a recorded reference: all behind the container is the blob's
// name, but for the time of a snapshot.
func parseRef(op, ref string) (place, error) {
	if open, secret := cutSAS(ref); secret {
		return place{}, backends.Invalid(op, open, "a SAS token is no part of a reference", "put it into "+envSAS)
	}
	_, rest, _ := strings.Cut(ref, "://")
	authority, rest, _ := strings.Cut(rest, "/")
	p := place{account: authority}
	if manifest.Scheme(ref) == "https" {
		p.host = strings.ToLower(authority)
		p.account, _, _ = strings.Cut(p.host, ".")
	}
	p.container, p.blob, _ = strings.Cut(rest, "/")
	if manifest.SourceOf(ref) != manifest.SourceAzure || !isAccount(p.account) || !isHost(p.host) {
		return place{}, backends.Invalid(op, ref, "not a reference to Azure Blob", hintForm)
	}
	if !isContainer(p.container) {
		return place{}, backends.Invalid(op, ref, "the reference names no container", hintForm)
	}
	if name, at, ok := cutLast(p.blob, snapshotSuffix); ok && isSnapshot(at) {
		p.blob, p.snapshot = name, at
	}
	return p, nil
}

// cutSAS gives what is before a SAS token, if ref has one: a query with a "sig".
func cutSAS(ref string) (open string, secret bool) {
	for i, c := range ref {
		if c != '?' {
			continue
		}
		for field := range strings.FieldsFuncSeq(ref[i+1:], func(r rune) bool { return r == '&' || r == '?' }) {
			if strings.HasPrefix(strings.ToLower(field), "sig=") {
				return ref[:i], true
			}
		}
	}
	return ref, false
}

func isSnapshot(at string) bool {
	_, err := time.Parse(snapshotTime, at)
	return err == nil
}

// isHost: accounts' hosts hold nothing that would mean something else in a URL.
func isHost(host string) bool {
	return !strings.ContainsFunc(host, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < '0' || r > '9') && r != '.' && r != '-'
	})
}

// isContainer tells whether a container could have this name: letters, digits,
// dashes, and $root, $web, $logs.
func isContainer(name string) bool {
	for _, c := range []byte(name) {
		if !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '-' || c == '$') {
			return false
		}
	}
	return name != ""
}

// parseURI splits what a person types: a reference, possibly with a version at
// its very end.
func parseURI(op, uri string) (place, error) {
	base, version := manifest.SplitVersion(uri)
	p, err := parseRef(op, base)
	if err != nil {
		return place{}, err
	}
	p.version = version
	if p.version+p.snapshot != "" && p.blob == "" || p.version != "" && p.snapshot != "" {
		return place{}, backends.Invalid(op, uri, "a version id or a snapshot needs the name of one blob", hintForm+"?versionId=ID")
	}
	return p, nil
}

// cutLast cuts s around the last sep.
func cutLast(s, sep string) (before, after string, ok bool) {
	i := strings.LastIndex(s, sep)
	if i < 0 {
		return s, "", false
	}
	return s[:i], s[i+len(sep):], true
}

// pinned is what a call asks for: a place and what must be there.
type pinned struct {
	place
	obj  manifest.Object
	etag string // that the blob must have; "" when none was recorded
	byID bool   // pinned by version id or read from a snapshot: nothing else may stand in
}

// parsePin gives what obj means. KindUnsupported when nothing pins it.
func parsePin(op string, obj manifest.Object) (pinned, error) {
	at, err := parseRef(op, obj.Ref)
	if err != nil {
		return pinned{}, err
	}
	if at.blob == "" {
		return pinned{}, backends.Invalid(op, obj.Ref, "the reference names no blob", "")
	}
	p := pinned{place: at, obj: obj, byID: at.snapshot != ""}
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
