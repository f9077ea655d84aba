package s3store

import (
	"bytes"
	"context"
	"io"
	"net/http"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"github.com/pinfs/pinfs/backends"
	"github.com/pinfs/pinfs/manifest"
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
			return s.nothing(ctx, op, p)
		}
		return s.open(ctx, op, p, r)
	})
	if err != nil {
		return nil, backends.Info{}, err
	}
	return o.body, o.state.info(p.place), nil
}

// nothing is an empty stream of an object that is there.
func (s *Store) nothing(ctx context.Context, op string, p pinned) (opened, error) {
	st, err := s.stat(ctx, op, p)
	return opened{io.NopCloser(bytes.NewReader(nil)), st}, err
}

// open asks once, at exactly p, for a range that is not empty.
func (s *Store) open(ctx context.Context, op string, p pinned, r backends.Span) (opened, error) {
	in := &s3.GetObjectInput{Bucket: &p.bucket, Key: &p.key, RequestPayer: s.payer}
	if p.version != "" {
		in.VersionId = &p.version
	} else {
		in.IfMatch = aws.String(`"` + p.etag + `"`)
	}
	whole := r.Whole(p.obj.Size)
	if !whole {
		in.Range = aws.String(r.Header())
	}
	out, err := send(ctx, s, p.bucket, s.getObject(whole), in)
	if err != nil {
		return s.refused(ctx, op, p, r, err)
	}
	st := getState(p.bucket, out)
	body, err := s.accept(ctx, op, p, r, out, st)
	if err != nil {
		out.Body.Close()
		return opened{}, err
	}
	return opened{body, st}, nil
}

// refused sorts a GET that gave no stream.
func (s *Store) refused(ctx context.Context, op string, p pinned, r backends.Span, err error) (opened, error) {
	switch refusal, _ := replyOf(err); refusal.status {
	case http.StatusRequestedRangeNotSatisfiable: // past the end, of an object that must be the pinned one
		o, err := s.nothing(ctx, op, p)
		if err == nil && r.Of(o.state.size) > 0 {
			return opened{}, backends.Unreachable(op, p.obj.Ref, refusal)
		}
		return o, err
	case http.StatusPreconditionFailed: // ask what is there instead
		_, err := s.stat(ctx, op, p)
		if err == nil { // it was put back meanwhile
			err = backends.Unreachable(op, p.obj.Ref, refusal)
		}
		return opened{}, err
	}
	return opened{}, readFailure(ctx, op, p, err)
}

// accept checks the response against the pin and the range asked for.
func (s *Store) accept(ctx context.Context, op string, p pinned, r backends.Span, out *s3.GetObjectOutput, st state) (io.ReadCloser, error) {
	if err := p.check(op, st); err != nil {
		return nil, err
	}
	want, err := r.Check(op, p.obj, sentBy(out))
	if err != nil {
		return nil, err
	}
	return backends.NewBody(ctx, op, p.obj.Ref, out.Body, want), nil
}

// withSums asks for checksums in the response, which the SDK would check itself,
// once more than the reader does, if the input asked for them.
func withSums(o *s3.Options) {
	o.APIOptions = append(o.APIOptions[:len(o.APIOptions):len(o.APIOptions)], smithyhttp.AddHeaderValue("X-Amz-Checksum-Mode", "ENABLED"))
}

// getState is what a GET's response says of the object.
func getState(bucket string, out *s3.GetObjectOutput) state {
	return state{
		etag: unquote(aws.ToString(out.ETag)), version: aws.ToString(out.VersionId),
		size: sentBy(out).Total, mod: aws.ToTime(out.LastModified), sums: getSums(bucket, out),
	}
}

// sentBy gives what a GET's response says of its body.
func sentBy(out *s3.GetObjectOutput) backends.Sent {
	length := int64(-1)
	if out.ContentLength != nil {
		length = *out.ContentLength
	}
	return backends.ParseSent(aws.ToString(out.ContentRange), length)
}
