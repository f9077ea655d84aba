package s3store

import (
	"context"
	"net/url"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/pinfs/pinfs/backends"
	"github.com/pinfs/pinfs/manifest"
)

// object is one line of a listing.
type object struct {
	key   string
	state state
	gone  bool // deleted since it was listed
}

// page is an answer to a request of a listing; its objects are current ones.
type page = backends.Page[object]

// asker sends one request of a listing by way of try; empty tells whether the
// answer had nothing at all in it, not even a delete marker.
type asker func(ctx context.Context, a backends.Ask, try tryer) (p page, empty bool, err error)

// tryer is once or again.
type tryer func(context.Context, func(context.Context) error) error

// page sends one request. The first one chooses how to list.
func (l *listing) page(ctx context.Context, a backends.Ask) (p page, err error) {
	if l.ask == nil {
		return l.start(ctx, a)
	}
	p, _, err = l.ask(ctx, a, l.calls.Again)
	return p, err
}

// start chooses how to list by the first page: versions if the server lists them,
// which directory buckets don't have. An empty answer is asked again the plain way:
// a server that knows no versions may answer with another document, which reads as
// empty.
func (l *listing) start(ctx context.Context, a backends.Ask) (page, error) {
	if !directoryBucket(l.at.bucket) {
		first, empty, err := l.versionPage(ctx, a, l.calls.Once)
		if err == nil && !empty {
			l.ask = l.versionPage
			return first, nil
		}
		if err != nil && manifest.KindOf(err) != manifest.KindDenied && !notKnown(err) {
			return page{}, err
		}
	}
	first, _, err := l.plainPage(ctx, a, l.calls.Once)
	l.ask = l.plainPage
	return first, err
}

// versionPage asks with ListObjectVersions. A token is a version id and a key.
func (l *listing) versionPage(ctx context.Context, a backends.Ask, try tryer) (page, bool, error) {
	s := l.store
	in := &s3.ListObjectVersionsInput{Bucket: &l.at.bucket, Prefix: &a.Prefix, Delimiter: delimiter(a), RequestPayer: s.payer, EncodingType: types.EncodingTypeUrl}
	if version, key, ok := strings.Cut(a.Token, "\x00"); ok {
		in.KeyMarker, in.VersionIdMarker = &key, &version
	}
	var out *s3.ListObjectVersionsOutput
	err := try(ctx, func(ctx context.Context) (err error) {
		out, err = send(ctx, s, l.at.bucket, s.client.ListObjectVersions, in)
		return err
	})
	if err != nil {
		return page{}, false, err
	}
	var p page
	plain := decoder(out.EncodingType)
	for _, v := range out.Versions {
		if aws.ToBool(v.IsLatest) {
			add(&p, a.Prefix, plain(v.Key), state{etag: unquote(aws.ToString(v.ETag)), version: aws.ToString(v.VersionId),
				size: aws.ToInt64(v.Size), mod: aws.ToTime(v.LastModified)})
		}
	}
	p.Folders = folders(out.CommonPrefixes, plain)
	if key := plain(out.NextKeyMarker); aws.ToBool(out.IsTruncated) {
		if p.Next = aws.ToString(out.NextVersionIdMarker) + "\x00" + key; key == "" {
			return page{}, false, backends.Stuck(l.uri)
		}
	}
	return p, len(out.Versions)+len(out.DeleteMarkers) == 0, l.inspect(ctx, p.Objects, false)
}

// plainPage asks with ListObjectsV2, and for version ids if there are any.
func (l *listing) plainPage(ctx context.Context, a backends.Ask, try tryer) (page, bool, error) {
	s := l.store
	in := &s3.ListObjectsV2Input{Bucket: &l.at.bucket, Prefix: &a.Prefix, Delimiter: delimiter(a), RequestPayer: s.payer, EncodingType: types.EncodingTypeUrl}
	if a.Token != "" {
		in.ContinuationToken = &a.Token
	}
	var out *s3.ListObjectsV2Output
	err := try(ctx, func(ctx context.Context) (err error) {
		out, err = send(ctx, s, l.at.bucket, s.client.ListObjectsV2, in)
		return err
	})
	if err != nil {
		return page{}, false, err
	}
	var p page
	plain := decoder(out.EncodingType)
	for _, o := range out.Contents {
		add(&p, a.Prefix, plain(o.Key), state{etag: unquote(aws.ToString(o.ETag)), size: aws.ToInt64(o.Size), mod: aws.ToTime(o.LastModified)})
	}
	p.Folders = folders(out.CommonPrefixes, plain)
	if aws.ToBool(out.IsTruncated) {
		if p.Next = aws.ToString(out.NextContinuationToken); p.Next == "" {
			return page{}, false, backends.Stuck(l.uri)
		}
	}
	if err := l.probe(ctx, p.Objects); err != nil {
		return page{}, false, err
	}
	return p, len(out.Contents) == 0, l.inspect(ctx, p.Objects, l.versioned)
}

// add appends an object, if it is one that was asked for.
func add(p *page, prefix, key string, st state) {
	if strings.HasPrefix(key, prefix) && key != "" {
		p.Objects = append(p.Objects, object{key: key, state: st})
	}
}

func delimiter(a backends.Ask) *string {
	if !a.Level {
		return nil
	}
	return aws.String("/")
}

func folders(prefixes []types.CommonPrefix, plain func(*string) string) (names []string) {
	for _, p := range prefixes {
		names = append(names, plain(p.Prefix))
	}
	return names
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
