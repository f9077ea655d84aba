package s3store

import (
	"context"
	"net/http"
	"path"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/pinfs/pinfs/backends"
	"github.com/pinfs/pinfs/manifest"
)

// folderType is the content type of the folders that s3fs and others make.
const folderType = "application/x-directory"

// nullVersion is the id of an object without one in a bucket with versions.
const nullVersion = "null"

// state is what the server says of one object.
type state struct {
	etag    string // without quotes
	version string // "" when the bucket has no versions; may be nullVersion
	size    int64
	mod     time.Time
	folder  string // content type if it is folderType
	sums    []manifest.Sum
}

// marker tells whether the object at key is a folder marker and no file.
func (st state) marker(key string) bool {
	return st.size == 0 && (st.folder != "" || key[len(key)-1] == '/')
}

// info is what is recorded of the object at p.
func (st state) info(p place) backends.Info {
	info := backends.Info{Ref: p.ref(), Digest: st.etag, Size: st.size, ModTime: st.mod, Sums: st.sums, Extra: map[string]any{}}
	if st.etag != "" {
		info.Extra[manifest.ExtraETag] = st.etag
	} else {
		info.Digest = info.Ref // as W&B does when the source has none
	}
	if st.version != "" && st.version != nullVersion {
		info.Extra[manifest.ExtraVersion] = st.version
	}
	info.Name = path.Base(p.key)
	return info
}

// head asks for the object at p without reading it; with checksums if sums is
// true. Errors are the SDK's.
func (s *Store) head(ctx context.Context, p place, sums bool) (state, error) {
	in := &s3.HeadObjectInput{Bucket: &p.bucket, Key: &p.key, RequestPayer: s.payer}
	if p.version != "" {
		in.VersionId = &p.version
	}
	if sums {
		in.ChecksumMode = types.ChecksumModeEnabled
	}
	out, err := send(ctx, s, p.bucket, s.client.HeadObject, in)
	if r, refused := replyOf(err); refused && r.mute() {
		return s.peek(ctx, p, err)
	}
	if err != nil {
		return state{}, err
	}
	st := state{
		etag: unquote(aws.ToString(out.ETag)), version: aws.ToString(out.VersionId),
		size: aws.ToInt64(out.ContentLength), mod: aws.ToTime(out.LastModified), sums: headSums(p.bucket, out),
	}
	if aws.ToString(out.ContentType) == folderType {
		st.folder = folderType
	}
	return st, nil
}

// peek reads the first byte after a HEAD was refused: that answer has a body that
// says why, and where only the checksums were refused it is as good as a HEAD.
// silent is the error of the HEAD, kept when there is nothing to read.
func (s *Store) peek(ctx context.Context, p place, silent error) (state, error) {
	in := &s3.GetObjectInput{Bucket: &p.bucket, Key: &p.key, RequestPayer: s.payer, Range: aws.String("bytes=0-0")}
	if p.version != "" {
		in.VersionId = &p.version
	}
	out, err := send(ctx, s, p.bucket, s.client.GetObject, in)
	if r, refused := replyOf(err); refused && r.status == http.StatusRequestedRangeNotSatisfiable {
		return state{}, silent
	}
	if err != nil {
		return state{}, err
	}
	defer out.Body.Close()
	return getState(p.bucket, out), nil
}
