package s3store

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/pinfs/pinfs/backends"
)

// maxOlderPages bounds the search for an ETag: 10,000 versions of one key.
const maxOlderPages = 10

// older looks for a version of p's key that has p's ETag; "" when there is none,
// or when its versions may not be listed. An error means that nobody knows.
func (s *Store) older(ctx context.Context, op string, p pinned) (string, error) {
	in := &s3.ListObjectVersionsInput{Bucket: &p.bucket, Prefix: &p.key, RequestPayer: s.payer}
	for range maxOlderPages {
		out, err := send(ctx, s, p.bucket, s.client.ListObjectVersions, in)
		if err != nil {
			return "", backends.Undecided(failure(ctx, op, p.obj.Ref, err))
		}
		for _, v := range out.Versions {
			key, id := aws.ToString(v.Key), aws.ToString(v.VersionId)
			if key == p.key && unquote(aws.ToString(v.ETag)) == p.etag && id != "" {
				return id, nil
			}
			if key > p.key {
				return "", nil
			}
		}
		if !aws.ToBool(out.IsTruncated) {
			return "", nil
		}
		in.KeyMarker, in.VersionIdMarker = out.NextKeyMarker, out.NextVersionIdMarker
	}
	return "", nil
}
