package azstore

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math"
	"net/http"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/blob"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/container"

	"github.com/pinfs/pinfs/backends"
	"github.com/pinfs/pinfs/manifest"
)

var (
	errPutBack       = errors.New("the blob was replaced while it was asked for")
	errNoBody        = errors.New("an answer without a body")
	errRefusedInside = errors.New("the server refused a range that the blob has")
)

// opened is a stream and what its response said.
type opened struct {
	body  io.ReadCloser
	state state
}

// Open streams a range of obj at its pin; see Stat for older versions. The pin
// and the size are compared before it returns.
func (s *Store) Open(ctx context.Context, obj manifest.Object, offset, length int64) (io.ReadCloser, backends.Info, error) {
	p, err := parsePin("open", obj)
	if err != nil {
		return nil, backends.Info{}, err
	}
	if offset < 0 {
		return nil, backends.Info{}, backends.Invalid("open", obj.Ref, "the offset is negative", "")
	}
	r := backends.Span{Offset: offset, Length: length}
	o, err := atPin(ctx, s, "open", p, func(ctx context.Context, op string, p pinned) (opened, error) {
		if length == 0 || obj.Size >= 0 && offset >= obj.Size {
			return s.nothing(ctx, op, p, r)
		}
		return s.open(ctx, op, p, r)
	})
	if err != nil {
		return nil, backends.Info{}, err
	}
	return o.body, infoOf(o.state, p), nil
}

// nothing is an empty stream of a blob that is there and has nothing of r.
func (s *Store) nothing(ctx context.Context, op string, p pinned, r backends.Span) (opened, error) {
	st, err := s.stat(ctx, op, p)
	if err == nil && r.Of(st.size) > 0 {
		return opened{}, backends.Unreachable(op, p.obj.Ref, errRefusedInside)
	}
	return opened{io.NopCloser(bytes.NewReader(nil)), st}, err
}

// open asks once, at exactly p, for a range that is not empty.
func (s *Store) open(ctx context.Context, op string, p pinned, r backends.Span) (opened, error) {
	o := &blob.DownloadStreamOptions{Range: httpRange(r)}
	if p.version == "" && p.snapshot == "" {
		tag := azcore.ETag(`"` + p.etag + `"`)
		o.AccessConditions = &blob.AccessConditions{ModifiedAccessConditions: &blob.ModifiedAccessConditions{IfMatch: &tag}}
	}
	out, err := send(ctx, s, p.place, func(ctx context.Context, c *container.Client) (blob.DownloadStreamResponse, error) {
		return c.NewBlobClient(p.blob).DownloadStream(ctx, o)
	})
	if err != nil {
		return s.refused(ctx, op, p, r, err)
	}
	if out.Body == nil { // the SDK's way to tell a 304
		return opened{}, backends.Unreachable(op, p.obj.Ref, errNoBody)
	}
	st := downloadState(out)
	err = p.check(op, st)
	var want int64
	if err == nil {
		want, err = r.Check(op, p.obj, sentBy(out))
	}
	if err == nil {
		return opened{backends.NewBody(ctx, op, p.obj.Ref, out.Body, want), st}, nil
	}
	_ = out.Body.Close()                                          // nothing of it is used
	if out.ContentRange != nil && value(out.ContentLength) == 0 { // Azurite's way to say 416
		return s.nothing(ctx, op, p, r)
	}
	return opened{}, err
}

// refused sorts a GET that gave no stream.
func (s *Store) refused(ctx context.Context, op string, p pinned, r backends.Span, err error) (opened, error) {
	switch refusal, _ := replyOf(err); refusal.status {
	case http.StatusRequestedRangeNotSatisfiable: // past the end, of a blob that must be the pinned one
		return s.nothing(ctx, op, p, r)
	case http.StatusPreconditionFailed: // ask what is there instead
		_, err := s.stat(ctx, op, p)
		if err == nil { // it was put back meanwhile
			err = backends.Unreachable(op, p.obj.Ref, errPutBack)
		}
		return opened{}, err
	}
	return opened{}, readFailure(ctx, op, p, err)
}

// httpRange: a count of 0 is to the end.
func httpRange(r backends.Span) blob.HTTPRange {
	if r.Length > 0 && r.Length <= math.MaxInt64-r.Offset {
		return blob.HTTPRange{Offset: r.Offset, Count: r.Length}
	}
	return blob.HTTPRange{Offset: r.Offset}
}

// downloadState is what a GET's response says of the blob. Content-MD5 is that of
// the body, and the blob's only if the body is all of it.
func downloadState(out blob.DownloadStreamResponse) state {
	sum := out.BlobContentMD5
	if len(sum) == 0 && out.ContentRange == nil {
		sum = out.ContentMD5
	}
	return state{
		etag: etagOf(out.ETag), version: value(out.VersionID),
		size: sentBy(out).Total, mod: value(out.LastModified), sums: md5Of(out.BlobType, sum),
	}
}

// sentBy gives what a GET's response says of its body.
func sentBy(out blob.DownloadStreamResponse) backends.Sent {
	length := int64(-1)
	if out.ContentLength != nil {
		length = *out.ContentLength
	}
	return backends.ParseSent(value(out.ContentRange), length)
}
