package gcsstore

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"path"
	"strconv"
	"strings"
	"time"

	gcs "google.golang.org/api/storage/v1"

	"github.com/pinfs/pinfs/backends"
	"github.com/pinfs/pinfs/manifest"
)

const (
	projection = "noAcl"
	// oneObject are the fields that are asked for; the others are most of an answer.
	oneObject    = "name,generation,etag,size,md5Hash,crc32c,timeCreated"
	objectFields = oneObject
	pageFields   = "nextPageToken,prefixes,items(" + oneObject + ")"
)

// state is what the server says of one object.
type state struct {
	etag       string
	generation int64
	size       int64 // manifest.SizeUnknown when it isn't told
	mod        time.Time
	md5        string // base64; "" for objects that a compose made
	crc32c     string // base64 of four bytes, big endian
}

// listedState is what metadata tells. The time is that of the generation: its
// metadata may change later, its content can't.
func listedState(o *gcs.Object) state {
	st := state{etag: o.Etag, generation: o.Generation, size: int64(o.Size), md5: o.Md5Hash, crc32c: o.Crc32c}
	if at, err := time.Parse(time.RFC3339Nano, o.TimeCreated); err == nil {
		st.mod = at
	}
	return st
}

// readState is what the header of an answer with content tells: no ETag, because
// that is another one than the metadata's in some of Google's APIs.
func readState(h http.Header, size int64) state {
	st := state{size: size}
	st.generation, _ = strconv.ParseInt(h.Get("X-Goog-Generation"), 10, 64)
	for _, value := range h.Values("X-Goog-Hash") {
		for part := range strings.SplitSeq(value, ",") {
			switch alg, text, _ := strings.Cut(strings.TrimSpace(part), "="); alg {
			case "crc32c":
				st.crc32c = text
			case "md5":
				st.md5 = text
			}
		}
	}
	return st
}

// marker tells whether the object at key is a folder marker and no file.
func (st state) marker(key string) bool { return st.size == 0 && strings.HasSuffix(key, "/") }

// info is what is recorded of the object at p.
func (st state) info(p place) backends.Info {
	info := backends.Info{
		Name: path.Base(p.key), Ref: p.ref(), Digest: st.etag, Size: st.size, ModTime: st.mod, Sums: st.sums(), Extra: map[string]any{},
	}
	if st.etag == "" {
		info.Digest = info.Ref // as W&B does when the source has none
	}
	if st.generation != 0 {
		info.Extra[manifest.ExtraVersion] = json.Number(strconv.FormatInt(st.generation, 10))
	}
	return info
}

// sums gives the checksums of the content, the cheapest to check first.
func (st state) sums() []manifest.Sum {
	var all []manifest.Sum
	add := func(alg manifest.SumAlg, size int, text string) {
		if raw, err := base64.StdEncoding.DecodeString(text); err == nil && len(raw) == size {
			all = append(all, manifest.Sum{Alg: alg, Value: raw})
		}
	}
	add(manifest.SumCRC32C, 4, st.crc32c)
	add(manifest.SumMD5, 16, st.md5)
	return all
}
