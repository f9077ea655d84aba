package s3store

import (
	"encoding/base64"
	"encoding/hex"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/pinfs/pinfs/manifest"
)

// checksums is what a response tells of the content.
type checksums struct {
	bucket, etag                     string
	encryption                       types.ServerSideEncryption
	customerKey                      *string
	kind                             types.ChecksumType
	crc64nvme, crc32c, crc32, sha256 *string // base64
}

func headSums(bucket string, o *s3.HeadObjectOutput) []manifest.Sum {
	return checksums{bucket, unquote(aws.ToString(o.ETag)), o.ServerSideEncryption, o.SSECustomerAlgorithm,
		o.ChecksumType, o.ChecksumCRC64NVME, o.ChecksumCRC32C, o.ChecksumCRC32, o.ChecksumSHA256}.sums()
}

func getSums(bucket string, o *s3.GetObjectOutput) []manifest.Sum {
	return checksums{bucket, unquote(aws.ToString(o.ETag)), o.ServerSideEncryption, o.SSECustomerAlgorithm,
		o.ChecksumType, o.ChecksumCRC64NVME, o.ChecksumCRC32C, o.ChecksumCRC32, o.ChecksumSHA256}.sums()
}

// sums gives those that are over the whole content, the cheapest to check first.
func (c checksums) sums() []manifest.Sum {
	var all []manifest.Sum
	add := func(alg manifest.SumAlg, text *string) {
		if c.kind == types.ChecksumTypeComposite || text == nil {
			return
		}
		// A composite checksum, of checksums of parts, ends in "-N" and is no base64.
		if raw, err := base64.StdEncoding.DecodeString(*text); err == nil && len(raw) == alg.Size() {
			all = append(all, manifest.Sum{Alg: alg, Value: raw})
		}
	}
	add(manifest.SumCRC64NVME, c.crc64nvme)
	add(manifest.SumCRC32C, c.crc32c)
	add(manifest.SumCRC32, c.crc32)
	add(manifest.SumSHA256, c.sha256)
	if raw := c.md5(); raw != nil {
		all = append(all, manifest.Sum{Alg: manifest.SumMD5, Value: raw})
	}
	return all
}

// md5 gives the MD5 that the ETag is, nil when it is none: of parts ("…-N"),
// under keys of KMS or the customer's, and in directory buckets (…--x-s3) the
// ETag is something else, though it may look like an MD5.
func (c checksums) md5() []byte {
	plain := c.encryption == "" || c.encryption == types.ServerSideEncryptionAes256
	if !plain || aws.ToString(c.customerKey) != "" || directoryBucket(c.bucket) {
		return nil
	}
	raw, err := hex.DecodeString(c.etag)
	if err != nil || len(raw) != 16 {
		return nil
	}
	return raw
}

// directoryBucket tells whether bucket is one of S3 Express, by its name.
func directoryBucket(bucket string) bool { return strings.HasSuffix(bucket, "--x-s3") }
