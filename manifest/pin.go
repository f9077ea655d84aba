package manifest

import (
	"crypto/md5"
	"encoding/base64"
	"encoding/json"
	"strconv"
	"strings"
)

// Object gives the object of e, with the pin that e's scheme and fields allow:
//
//	s3, azblob, mem, https at Azure   version id, else ETag
//	gs                                generation, else ETag; MD5 when only that is known
//	http, https                       strong ETag, quotes included; else extra.lastModified and the size
//	file                              MD5 of the content, and the size
//	none, with extra.source           MD5 of the content: a copy in the registry
//	anything else, wandb-artifact     none: tracked only
//
// The ETag is extra.etag, else the digest. A digest that is a URI says that no
// checksum was wanted (checksum=False): nothing is pinned unless extra has
// more. Rules: W&B's storage handlers, one for each scheme; ExtraLastModified and
// ExtraChecksums are pinfs's own.
func (e Entry) Object() Object {
	return Object{Ref: e.Ref, Pin: e.pin(), Digest: e.Digest, Size: e.Size, Checksums: e.checksums(), Chunks: e.Chunks}
}

func (e Entry) pin() Pin {
	switch SourceOf(e.Ref) {
	case SourceS3, SourceMem:
		return e.versionPin()
	case SourceAzure:
		pin := e.versionPin()
		if pin.Kind == PinETag { // where W&B takes the host for plain HTTP, it keeps the quotes
			pin.Value = strings.Trim(pin.Value, `"`)
		}
		return pin
	case SourceGCS:
		return e.generationPin()
	case SourceHTTP:
		return e.httpPin()
	case SourceFile:
		if isMD5(e.Digest) && !standsForNoMD5(e.Ref, e.Digest, e.Size) {
			return Pin{PinMD5, e.Digest}
		}
	case SourceBlob: // without a source it is a file that W&B's server stores
		if isMD5(e.Digest) && e.extraText(ExtraSource) != "" {
			return Pin{PinMD5, e.Digest}
		}
	}
	return Pin{}
}

// versionPin: "null" is what S3 calls the version of an object that was written
// while its bucket kept none, and a later write replaces it.
func (e Entry) versionPin() Pin {
	if version := e.extraText(ExtraVersion); version != "" && version != "null" {
		return Pin{PinVersion, version}
	}
	return e.etagPin()
}

// generationPin: before SDK 0.17 the digest was the MD5 of the content.
func (e Entry) generationPin() Pin {
	if generation := e.extraText(ExtraVersion); generation != "" {
		return Pin{PinGeneration, generation}
	}
	if e.extraText(ExtraETag) == "" && isMD5(e.Digest) {
		return Pin{PinMD5, e.Digest}
	}
	return e.etagPin()
}

func (e Entry) etagPin() Pin {
	tag := e.extraText(ExtraETag)
	if tag == "" && !isURI(e.Digest) {
		tag = e.Digest
	}
	if tag == "" {
		return Pin{}
	}
	return Pin{PinETag, tag}
}

// httpPin keeps the quotes, which tell a strong tag from a weak one. A digest has
// lost those of a strong one. A weak tag promises no equal bytes (RFC 9110,
// 8.8.1): the time pins better if it is known, and else the weak tag still tells
// most changes.
func (e Entry) httpPin() Pin {
	pin := e.etagPin()
	if pin.Kind == PinETag && !strings.HasSuffix(pin.Value, `"`) {
		pin.Value = `"` + pin.Value + `"`
	}
	if pin.Kind == PinNone || strings.HasPrefix(pin.Value, "W/") {
		if modified := e.extraText(ExtraLastModified); modified != "" {
			return Pin{PinTime, modified}
		}
	}
	return pin
}

// extraText gives a string or number of Extra as text, else "".
func (e Entry) extraText(key string) string {
	switch v := e.Extra[key].(type) {
	case string:
		return v
	case json.Number:
		return v.String()
	}
	return ""
}

func isURI(digest string) bool { return Scheme(digest) != "" }

func isMD5(digest string) bool {
	raw, err := base64.StdEncoding.DecodeString(digest)
	return err == nil && len(raw) == md5.Size
}

// standsForNoMD5 is true for the digests that W&B gives to files without looking
// at their content (checksum=False): the MD5 of the file's URI, which its newer
// SDKs percent-encode, or of its size in decimal (older). A file of one byte "1"
// really has the latter.
func standsForNoMD5(ref, digest string, size int64) bool {
	if digest == ref || digest == textMD5(ref) {
		return true
	}
	if size >= 0 && size != 1 && digest == textMD5(strconv.FormatInt(size, 10)) {
		return true
	}
	return strings.HasPrefix(ref, "file://") && digest == NoMD5(ref)
}

// NoMD5 gives the digest of a file reference whose content nobody looked at: the
// base64 MD5 of its URI, percent-encoded as Python's Path.as_uri does
// (checksum=False of W&B's LocalFileHandler).
func NoMD5(ref string) string {
	path := strings.TrimPrefix(ref, "file://")
	return textMD5("file://" + quoteURIPath(path))
}

func textMD5(s string) string {
	sum := md5.Sum([]byte(s))
	return base64.StdEncoding.EncodeToString(sum[:])
}

// quoteURIPath escapes as Python's Path.as_uri: all but unreserved bytes and '/'.
func quoteURIPath(path string) string {
	const plain = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-~/"
	const hex = "0123456789ABCDEF"
	var b strings.Builder
	for i := range len(path) {
		if c := path[i]; strings.IndexByte(plain, c) >= 0 {
			b.WriteByte(c)
		} else {
			b.Write([]byte{'%', hex[c>>4], hex[c&15]})
		}
	}
	return b.String()
}
