package manifest

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Scheme gives the scheme of a URI in lower case; "" when it has none.
func Scheme(uri string) string {
	scheme, _, ok := strings.Cut(uri, "://")
	if !ok || scheme == "" || strings.ContainsFunc(scheme, notInScheme) || !isLetter(rune(scheme[0])) {
		return ""
	}
	return strings.ToLower(scheme)
}

// notInScheme: RFC 3986, 3.1.
func notInScheme(r rune) bool {
	return !isLetter(r) && (r < '0' || r > '9') && r != '+' && r != '-' && r != '.'
}

func isLetter(r rune) bool { return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' }

// SplitBucketKey cuts scheme://bucket/key. The key is all that follows the
// bucket's '/', byte for byte: nothing is unescaped, '?', '#', '%', '+', spaces,
// "//" and a '/' at either end are part of it, as object stores have it. It may be
// empty: the bucket itself. For azblob the bucket is the account, and the
// container begins the key. No scheme, or a bucket that is empty or can't be a
// host: KindInvalid.
func SplitBucketKey(uri string) (bucket, key string, err error) {
	if Scheme(uri) == "" {
		return "", "", badURI(uri, "no scheme; expected scheme://bucket/key")
	}
	_, rest, _ := strings.Cut(uri, "://")
	bucket, key, _ = strings.Cut(rest, "/")
	if bucket == "" {
		return "", "", badURI(uri, "no bucket")
	}
	if i := strings.IndexFunc(bucket, notInBucket); i >= 0 {
		r, _ := utf8.DecodeRuneInString(bucket[i:])
		return "", "", badURI(uri, fmt.Sprintf("bucket with %q", r))
	}
	return bucket, key, nil
}

func notInBucket(r rune) bool {
	return strings.ContainsRune(`?#%@\"`, r) || unicode.IsSpace(r) || unicode.IsControl(r)
}

// SplitVersion cuts the version off a URI that a person typed. version is ""
// when it has none, and base is then uri as it is.
//
//	s3, mem, azblob, https at Azure   ?versionId=X at the very end, X without any of / ? # & and space
//	gs                                #N at the very end, N decimal: the generation
//	other schemes                     none: the URI is taken as it is
//
// It is for input only. References in manifests have no version in them, and in
// their keys a '?' or '#' is literal. A key that itself ends like a version has to be
// typed with one behind it.
func SplitVersion(uri string) (base, version string) {
	switch Scheme(uri) {
	case "s3", "mem", "azblob":
		return cutSuffix(uri, "?versionId=", notInVersion)
	case "https":
		if isAzure(uri) {
			return cutSuffix(uri, "?versionId=", notInVersion)
		}
	case "gs":
		return cutSuffix(uri, "#", func(r rune) bool { return r < '0' || r > '9' })
	}
	return uri, ""
}

func notInVersion(r rune) bool { return strings.ContainsRune("/?#& ", r) }

// cutSuffix cuts uri at the last mark, when no rune behind it is bad.
func cutSuffix(uri, mark string, bad func(rune) bool) (base, suffix string) {
	i := strings.LastIndex(uri, mark)
	if i < 0 || strings.ContainsFunc(uri[i+len(mark):], bad) || i+len(mark) == len(uri) {
		return uri, ""
	}
	return uri[:i], uri[i+len(mark):]
}

// badURI leaves out where secrets are: what is before an '@' and behind a '?'.
func badURI(uri, msg string) error {
	scheme, rest, ok := strings.Cut(uri, "://")
	if !ok {
		scheme, rest = "", uri
	}
	rest, _, _ = strings.Cut(rest, "?")
	if at := strings.LastIndex(rest, "@"); at >= 0 {
		rest = "..." + rest[at:]
	}
	if ok {
		rest = scheme + "://" + rest
	}
	return &Error{Kind: KindInvalid, Op: "parse URI", Ref: quotePath(rest), Msg: msg}
}
