package gcsgate

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
)

// CompositeKey marks an object, in its metadata, that shall look like one made
// by a compose: without an MD5.
const CompositeKey = "pinfs-composite"

// target is the object that a request names.
type target struct {
	bucket, object string
	xml            bool
}

// parseTarget gives the object that a read is for; false when it is for none.
func parseTarget(u *url.URL) (target, bool) {
	path := u.EscapedPath()
	for _, prefix := range []string{"/download/storage/v1/b/", "/storage/v1/b/", "/b/"} {
		if rest, ok := strings.CutPrefix(path, prefix); ok {
			bucket, object, ok := strings.Cut(rest, "/o/")
			if strings.Contains(object, "/acl") { // a slash in a name is escaped
				return target{}, false
			}
			return unescape(bucket, object, ok, false)
		}
	}
	for _, prefix := range []string{"/_internal/", "/upload/", "/storage/", "/batch/"} {
		if strings.HasPrefix(path, prefix) {
			return target{}, false
		}
	}
	bucket, object, ok := strings.Cut(strings.TrimPrefix(path, "/"), "/")
	return unescape(bucket, object, ok, true)
}

func unescape(bucket, object string, ok, xml bool) (target, bool) {
	name, err := url.PathUnescape(object)
	return target{bucket: bucket, object: name, xml: xml}, ok && object != "" && err == nil
}

// fields is a JSON object whose values stay as they were written.
type fields map[string]json.RawMessage

// text gives a field that is a string, or "".
func (f fields) text(name string) string {
	var s string
	_ = json.Unmarshal(f[name], &s) // another type is no string
	return s
}

// amend corrects the metadata of an object.
func (f fields) amend() {
	f["etag"] = mustJSON(etagOf(f.text("generation"), f.text("metageneration")))
	metadata := map[string]string{}
	if json.Unmarshal(f["metadata"], &metadata) != nil {
		return
	}
	if _, ok := metadata[CompositeKey]; !ok {
		return
	}
	delete(metadata, CompositeKey)
	delete(f, "md5Hash")
	delete(f, "metadata")
	f["componentCount"] = mustJSON(2)
	if len(metadata) > 0 {
		f["metadata"] = mustJSON(metadata)
	}
}

// etagOf is opaque and another one for each generation, as in the cloud.
func etagOf(generation, metageneration string) string {
	return "C" + base64.StdEncoding.EncodeToString([]byte(generation+"/"+metageneration))
}

// amendRead corrects the header of a response with content.
func amendRead(h http.Header, xml bool) {
	if h.Get("X-Goog-Metageneration") == "" {
		h.Set("X-Goog-Metageneration", "1") // fake-gcs-server never changes it
	}
	etag := etagOf(h.Get("X-Goog-Generation"), h.Get("X-Goog-Metageneration"))
	crc, md5, _ := strings.Cut(h.Get("X-Goog-Hash"), ",")
	marker := "X-Goog-Meta-" + CompositeKey
	switch {
	case h.Get(marker) != "":
		h.Del(marker)
		h.Set("X-Goog-Hash", crc)
		h.Set("X-Goog-Component-Count", "2")
	case xml:
		etag = hexMD5(strings.TrimPrefix(md5, "md5="))
	}
	h.Set("ETag", `"`+etag+`"`)
}

func hexMD5(b64 string) string {
	raw, err := base64.StdEncoding.DecodeString(b64)
	if err != nil {
		return b64
	}
	return hex.EncodeToString(raw)
}

// mustJSON encodes values that can always be encoded.
func mustJSON(v any) json.RawMessage {
	out, err := json.Marshal(v)
	if err != nil {
		panic(fmt.Sprintf("encode %T: %v", v, err))
	}
	return out
}
