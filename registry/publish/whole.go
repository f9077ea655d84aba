package publish

import (
	"encoding/json"
	"errors"
	"path"
	"strings"

	"github.com/pinfs/pinfs/manifest"
)

// whole gives the one entry of a source that is not to be asked: a scheme that can
// only be tracked, or any but files under NoChecksum. False for what is listed.
// The rules are those of W&B's handlers with checksum=False: the URI is reference
// and digest, and its size is not known.
func (p *put) whole(source Source) (manifest.Entry, bool, error) {
	kind := manifest.SourceOf(source.URI)
	switch {
	case kind == manifest.SourceNone:
		if source.Name == "" {
			return manifest.Entry{}, false, nil // the mux knows what to say of it
		}
		if p.o.reads() || p.o.Checksum != "" && p.o.Checksum != AnyChecksum {
			return manifest.Entry{}, false, &manifest.Error{Kind: manifest.KindUnsupported, Op: "put", Ref: source.URI,
				Msg: "a reference of this scheme is only tracked, its content can't be read", Hint: "track it without --checksum, --chunk-digests and --copy"}
		}
	case !p.o.NoChecksum || kind == manifest.SourceFile:
		return manifest.Entry{}, false, nil
	}
	if err := noSecret(kind, source.URI); err != nil {
		return manifest.Entry{}, false, err
	}
	ref, version := manifest.SplitVersion(source.URI)
	e := manifest.Entry{Path: source.Name, Digest: ref, Ref: ref, Size: manifest.SizeUnknown}
	if version != "" {
		e.Extra = map[string]any{manifest.ExtraVersion: versionID(kind, version)}
	}
	if e.Path == "" {
		e.Path = wholePath(kind, ref)
	}
	if err := manifest.CheckPath(e.Path); err != nil {
		return e, false, &manifest.Error{Kind: manifest.KindInvalid, Op: "put", Ref: ref, Msg: "its name can't be a path in a version", Err: err,
			Hint: "give it one: NAME=URI"}
	}
	return e, true, nil
}

// noSecret refuses URIs with a login or a SAS token, as the drivers do, which are
// not asked here: every manifest would show it. The error does not.
func noSecret(kind manifest.Source, uri string) error {
	scheme, rest, _ := strings.Cut(uri, "://")
	host, path, _ := strings.Cut(rest, "/")
	bare, query, _ := strings.Cut(path, "?")
	var what string
	switch {
	case kind == manifest.SourceHTTP && strings.Contains(host, "@"):
		what = "a user or a password"
		host = host[strings.LastIndex(host, "@")+1:]
	case kind == manifest.SourceAzure && strings.Contains("&"+query, "&sig="):
		what = "a SAS token"
	default:
		return nil
	}
	return &manifest.Error{Kind: manifest.KindInvalid, Op: "put", Ref: scheme + "://" + host + "/" + bare, Msg: "the URI has " + what + " in it, which would be recorded",
		Hint: "leave it out; credentials come from the environment"}
}

// versionID: W&B keeps generations as numbers.
func versionID(kind manifest.Source, version string) any {
	if kind == manifest.SourceGCS {
		return json.Number(strings.TrimLeft(version, "0"))
	}
	return version
}

// wholePath gives the path of a whole URI: the key in a bucket or a container, the
// bucket's or container's own name if there is none, the last part of a URL.
func wholePath(kind manifest.Source, ref string) string {
	_, rest, _ := strings.Cut(ref, "://")
	if kind == manifest.SourceHTTP {
		rest, _, _ = strings.Cut(rest, "#")
		rest, _, _ = strings.Cut(rest, "?") // W&B keeps it in the name
		return path.Base(rest)
	}
	head, key, _ := strings.Cut(rest, "/")
	if kind == manifest.SourceAzure {
		head, key, _ = strings.Cut(key, "/")
	}
	if key = strings.TrimSuffix(key, "/"); key == "" {
		return head
	}
	return key
}

// named adds to the error of a scheme that no driver has how it can be tracked.
func named(source Source, err error) error {
	var typed *manifest.Error
	if manifest.SourceOf(source.URI) != manifest.SourceNone || !errors.As(err, &typed) || typed.Kind != manifest.KindUnsupported || typed.Hint != "" {
		return err
	}
	with := *typed
	with.Hint = "NAME=" + source.URI + " tracks it, without its content"
	return &with
}
