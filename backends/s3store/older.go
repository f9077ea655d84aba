package s3store

import (
	"context"
	"sync"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/pinfs/pinfs/manifest"
)

const (
	// maxOlderPages bounds the search for an ETag: 10,000 versions of one key.
	maxOlderPages = 10
	// maxFound bounds the found versions that are remembered, so that each range
	// of a file is not a search; past it all are forgotten.
	maxFound = 4096
)

// found remembers under which version id an ETag was found.
type found struct {
	mu sync.Mutex
	at map[[2]string]string // guarded by mu: (ref, etag) to version
}

func (f *found) get(p pinned) string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.at[[2]string{p.ref(), p.etag}]
}

func (f *found) put(p pinned) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.at == nil || len(f.at) >= maxFound {
		f.at = map[[2]string]string{}
	}
	f.at[[2]string{p.ref(), p.etag}] = p.version
}

// older looks for a version of p's key that has p's ETag; "" when there is none,
// or when its versions may not be listed. An error means that nobody knows.
func (s *Store) older(ctx context.Context, op string, p pinned) (string, error) {
	in := &s3.ListObjectVersionsInput{Bucket: &p.bucket, Prefix: &p.key, RequestPayer: s.payer}
	for range maxOlderPages {
		out, err := send(ctx, s, p.bucket, s.client.ListObjectVersions, in)
		if err != nil {
			return "", searchFailure(ctx, op, p, err)
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

// searchFailure is nil for a refusal that will not change: then the search has
// simply found nothing.
func searchFailure(ctx context.Context, op string, p pinned, err error) error {
	err = failure(ctx, op, p.obj.Ref, err)
	switch manifest.KindOf(err) {
	case manifest.KindUnreachable, manifest.KindThrottled, manifest.KindTimeout, manifest.KindCanceled:
		return err
	}
	return nil
}
