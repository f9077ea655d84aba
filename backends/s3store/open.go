package s3store

import (
	"bytes"
	"context"
	"io"
	"math"
	"net/http"
	"strconv"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"github.com/pinfs/pinfs/backends"
	"github.com/pinfs/pinfs/manifest"
)

// span is a range of an object; length < 0 is to its end.
type span struct{ offset, length int64 }

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
	r := span{offset, length}
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
func (s *Store) open(ctx context.Context, op string, p pinned, r span) (opened, error) {
	in := &s3.GetObjectInput{Bucket: &p.bucket, Key: &p.key, RequestPayer: s.payer}
	if p.version != "" {
		in.VersionId = &p.version
	} else {
		in.IfMatch = aws.String(`"` + p.etag + `"`)
	}
	var more []func(*s3.Options)
	if r.whole(p.obj.Size) {
		more = append(more, withSums)
	} else {
		in.Range = aws.String(r.header())
	}
	out, err := send(ctx, s, p.bucket, s.client.GetObject, in, more...)
	if err != nil {
		return s.refused(ctx, op, p, err)
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
func (s *Store) refused(ctx context.Context, op string, p pinned, err error) (opened, error) {
	switch r, _ := replyOf(err); r.status {
	case http.StatusRequestedRangeNotSatisfiable: // past the end, of an object that must be the pinned one
		return s.nothing(ctx, op, p)
	case http.StatusPreconditionFailed: // ask what is there instead
		_, err := s.stat(ctx, op, p)
		if err == nil { // it was put back meanwhile
			err = backends.Unreachable(op, p.obj.Ref, io.ErrUnexpectedEOF)
		}
		return opened{}, err
	}
	return opened{}, readFailure(ctx, op, p, err)
}

// accept checks the response against the pin and the range asked for.
func (s *Store) accept(ctx context.Context, op string, p pinned, r span, out *s3.GetObjectOutput, st state) (io.ReadCloser, error) {
	if err := p.check(op, st); err != nil {
		return nil, err
	}
	size := st.size
	if size < 0 {
		size = p.obj.Size
	}
	if size < 0 {
		return nil, &manifest.Error{Kind: manifest.KindCorrupt, Op: op, Ref: p.obj.Ref, Msg: "the answer does not tell the object's size"}
	}
	want := max(0, size-r.offset)
	if r.length >= 0 {
		want = min(want, r.length)
	}
	start, sent := sentRange(out)
	if start != r.offset && r.offset > 0 {
		return nil, wrongRange(op, p, r.offset, start)
	}
	if sent >= 0 && sent != want && !(out.ContentRange == nil && sent > want) {
		return nil, &manifest.Error{Kind: manifest.KindCorrupt, Op: op, Ref: p.obj.Ref, Msg: "the answer has another length than asked for",
			Expected: bytesText(want), Found: bytesText(sent)}
	}
	return &stream{ctx: ctx, body: out.Body, left: want, op: op, ref: p.obj.Ref}, nil
}

func wrongRange(op string, p pinned, want, got int64) error {
	return &manifest.Error{Kind: manifest.KindCorrupt, Op: op, Ref: p.obj.Ref, Msg: "the answer starts at another offset than asked for",
		Expected: strconv.FormatInt(want, 10), Found: strconv.FormatInt(got, 10)}
}

// whole tells whether r is all of an object of size bytes. Such a GET has no
// range, and only then S3 tells the checksums.
func (r span) whole(size int64) bool {
	return r.offset == 0 && (r.length < 0 || size >= 0 && r.length >= size)
}

// header is the Range header.
func (r span) header() string {
	text := "bytes=" + strconv.FormatInt(r.offset, 10) + "-"
	if r.length > 0 && r.length <= math.MaxInt64-r.offset {
		text += strconv.FormatInt(r.offset+r.length-1, 10)
	}
	return text
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
		size: total(out), mod: aws.ToTime(out.LastModified), sums: getSums(bucket, out),
	}
}

// total gives the size of the object: from Content-Range ("bytes 0-9/123"), or
// the length of a response that is the whole; SizeUnknown when neither is told.
func total(out *s3.GetObjectOutput) int64 {
	if out.ContentRange != nil {
		_, text, _ := strings.Cut(*out.ContentRange, "/")
		if n, err := strconv.ParseInt(text, 10, 64); err == nil && n >= 0 {
			return n
		}
		return manifest.SizeUnknown
	}
	if out.ContentLength == nil {
		return manifest.SizeUnknown
	}
	return *out.ContentLength
}

// sentRange gives where the response starts and how much it says it holds, -1
// when it does not say.
func sentRange(out *s3.GetObjectOutput) (start, length int64) {
	length = -1
	if out.ContentLength != nil {
		length = *out.ContentLength
	}
	if out.ContentRange == nil {
		return 0, length
	}
	text, _, _ := strings.Cut(strings.TrimPrefix(*out.ContentRange, "bytes "), "-")
	start, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return -1, length
	}
	return start, length
}
