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
//	http, https                       ETag, quotes included
//	file                              MD5 of the content, and the size
//	anything else, wandb-artifact     none: tracked only
//
// The ETag is extra.etag, else the digest. A digest that is a URI says that no
// checksum was wanted (checksum=False): nothing is pinned unless extra has
// more. Rules: W&B's storage handlers, one for each scheme.
func (e Entry) Object() Object {
	return Object{Ref: e.Ref, Pin: e.pin(), Digest: e.Digest, Size: e.Size}
}

func (e Entry) pin() Pin {
	switch Scheme(e.Ref) {
	case "s3", "azblob", "mem":
		return e.versionPin()
	case "gs":
		return e.generationPin()
	case "http", "https":
		if isAzure(e.Ref) {
			return e.versionPin()
		}
		return e.httpPin()
	case "file":
		if isMD5(e.Digest) && !standsForNoMD5(e.Ref, e.Digest, e.Size) {
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
// lost those of a strong one.
func (e Entry) httpPin() Pin {
	pin := e.etagPin()
	if pin.Kind == PinETag && !strings.HasSuffix(pin.Value, `"`) {
		pin.Value = `"` + pin.Value + `"`
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

// isAzure: the only hosts that W&B takes for Azure; it reads the other clouds'
// and Azurite as plain HTTP. The URI is not parsed, since blob names may hold a
// bare '%'.
func isAzure(ref string) bool {
	if Scheme(ref) != "https" {
		return false
	}
	_, rest, _ := strings.Cut(ref, "://")
	host, _, _ := strings.Cut(rest, "/")
	return strings.HasSuffix(strings.ToLower(host), ".blob.core.windows.net")
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
	path, ok := strings.CutPrefix(ref, "file://")
	return ok && digest == textMD5("file://"+quoteURIPath(path))
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
