package s3store

import (
	"context"
	"net/url"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
)

// object is one line of a listing.
type object struct {
	key   string
	state state
	gone  bool // deleted since it was listed
}

// page is a part of a listing; its objects are current ones.
type page struct {
	objects []object
	last    bool
	empty   bool // nothing at all, not even a delete marker
}

// pager fetches the next page.
type pager func(context.Context) (page, error)

// versionPages lists with ListObjectVersions.
func (l *listing) versionPages() pager {
	s := l.store
	in := &s3.ListObjectVersionsInput{Bucket: &l.at.bucket, Prefix: &l.at.key, RequestPayer: s.payer, EncodingType: types.EncodingTypeUrl}
	attempt := l.once
	return func(ctx context.Context) (page, error) {
		var out *s3.ListObjectVersionsOutput
		err := attempt(ctx, func(ctx context.Context) (err error) {
			out, err = send(ctx, s, l.at.bucket, s.client.ListObjectVersions, in)
			return err
		})
		if err != nil {
			return page{}, err
		}
		attempt = l.again
		p := page{last: !aws.ToBool(out.IsTruncated), empty: len(out.Versions)+len(out.DeleteMarkers) == 0}
		plain := decoder(out.EncodingType)
		for _, v := range out.Versions {
			if aws.ToBool(v.IsLatest) {
				p.add(l.at.key, plain(v.Key), state{etag: unquote(aws.ToString(v.ETag)), version: aws.ToString(v.VersionId),
					size: aws.ToInt64(v.Size), mod: aws.ToTime(v.LastModified)})
			}
		}
		key, version := plain(out.NextKeyMarker), aws.ToString(out.NextVersionIdMarker)
		if !p.last && (key == "" || key == aws.ToString(in.KeyMarker) && version == aws.ToString(in.VersionIdMarker)) {
			return page{}, l.stuck()
		}
		in.KeyMarker, in.VersionIdMarker = &key, out.NextVersionIdMarker
		return p, l.inspect(ctx, p.objects, false)
	}
}

// plainPages lists with ListObjectsV2, and asks for version ids if there are any.
func (l *listing) plainPages() pager {
	s := l.store
	in := &s3.ListObjectsV2Input{Bucket: &l.at.bucket, Prefix: &l.at.key, RequestPayer: s.payer, EncodingType: types.EncodingTypeUrl}
	attempt := l.once
	var known, versioned bool
	return func(ctx context.Context) (page, error) {
		var out *s3.ListObjectsV2Output
		err := attempt(ctx, func(ctx context.Context) (err error) {
			out, err = send(ctx, s, l.at.bucket, s.client.ListObjectsV2, in)
			return err
		})
		if err != nil {
			return page{}, err
		}
		attempt = l.again
		p := page{last: !aws.ToBool(out.IsTruncated), empty: len(out.Contents) == 0}
		plain := decoder(out.EncodingType)
		for _, o := range out.Contents {
			p.add(l.at.key, plain(o.Key), state{etag: unquote(aws.ToString(o.ETag)), size: aws.ToInt64(o.Size), mod: aws.ToTime(o.LastModified)})
		}
		token := aws.ToString(out.NextContinuationToken)
		if !p.last && (token == "" || token == aws.ToString(in.ContinuationToken)) {
			return page{}, l.stuck()
		}
		in.ContinuationToken = &token
		if !known && len(p.objects) > 0 {
			if versioned, err = l.hasVersions(ctx, p.objects[0].key); err != nil {
				return page{}, err
			}
			known = true
		}
		return p, l.inspect(ctx, p.objects, versioned)
	}
}

// add appends an object, if it is one of this listing.
func (p *page) add(prefix, key string, st state) {
	if strings.HasPrefix(key, prefix) && key != "" {
		p.objects = append(p.objects, object{key: key, state: st})
	}
}

// decoder undoes EncodingType=url, which carries keys that XML can't, if the
// server has applied it. S3 codes a space as '+'.
func decoder(applied types.EncodingType) func(*string) string {
	return func(text *string) string {
		raw := aws.ToString(text)
		if applied != types.EncodingTypeUrl {
			return raw
		}
		if key, err := url.QueryUnescape(raw); err == nil {
			return key
		}
		return raw
	}
}
