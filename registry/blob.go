package registry

import (
	"context"
	"strings"

	"github.com/pinfs/pinfs/manifest"
)

// blobKey is where a content is kept; sha256 is its hash in lower-case hex.
func blobKey(sha256 string) string { return "blobs/" + sha256[:2] + "/" + sha256 }

func isSHA256(s string) bool {
	return len(s) == 64 && strings.Trim(s, "0123456789abcdef") == ""
}

// PutBlob stores the local file, whose SHA-256 in lower-case hex the caller has
// found, unless that content is there already. See Store.PutFile for what becomes
// of the file.
func (r *Registry) PutBlob(ctx context.Context, sha256, local string) error {
	if !isSHA256(sha256) {
		return &manifest.Error{Kind: manifest.KindInvalid, Op: "store", Ref: sha256, Msg: "not a SHA-256 in lower-case hex"}
	}
	if err := r.ensureFormat(ctx); err != nil {
		return err
	}
	return r.store.PutFile(ctx, blobKey(sha256), local)
}

// Blob gives the path of a local file with the content that has that SHA-256, in
// lower-case hex; see Store.Fetch. KindNotFound when it was never stored here.
func (r *Registry) Blob(ctx context.Context, sha256 string) (local string, err error) {
	if !isSHA256(sha256) {
		return "", notFound("fetch", "blobs/"+sha256)
	}
	return r.store.Fetch(ctx, blobKey(sha256))
}
