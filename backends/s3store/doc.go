// Package s3store is the driver of s3:// references: Amazon S3 and what speaks
// its protocol. It is the only importer of the AWS SDK.
//
// # References
//
// s3://bucket/key. The key is literal: nothing in it is percent-coded, and '?',
// '#', '%' and '+' are parts of it. Only List takes a trailing "?versionId=ID",
// which picks one version of one object and is no part of the recorded ref.
// Recorded are the ETag without quotes as digest, extra.etag, and
// extra.versionID unless it is "null". (W&B's SDK drops empty objects, cuts keys
// at '?' and '#', ignores versionId on put, takes siblings that share the prefix
// and writes a wrong ref for keys at the bucket's root; none of that is copied,
// all of it can be read.)
//
// # Listing
//
// One ListObjectVersions request gives 1,000 versions with id and ETag, so that
// no object is asked for by itself. A bucket that never had versions answers it
// too. Where it is refused, or the server does not know it, ListObjectsV2 lists
// and, if the first object turns out to have a version id, a HEAD for each
// object gets the others'. The pages of keys with many old versions hold fewer
// current ones: from about four versions a key on, HEADs would be faster; we
// take the fewer rights and the consistent pair of ETag and version instead.
// Empty objects get a HEAD, because only that tells a folder marker
// (application/x-directory) from an empty file. Prefixes go through backends.Tree:
// the large folders of a large prefix are listed at the same time, and the next page
// is fetched while the caller works on the current one. HEADs are bounded for each
// listing.
//
// Rights needed, in IAM's words: s3:GetObject and s3:GetObjectVersion to read;
// s3:ListBucketVersions, or else s3:ListBucket, to list. s3:ListBucket also makes
// S3 tell "missing" from "denied". s3:ListBucketVersions further lets a pin
// without a version id be found among older versions.
//
// # Reading
//
// A pin by version id is asked for with versionId, a pin by ETag with If-Match;
// the ETag of the answer is compared in both cases, and the size with the
// manifest's before any byte is given. An object that is no longer at its
// recorded ETag is looked for among the older versions of its key, as W&B does.
//
// # Requests
//
// The SDK's retries are off: the wrapper of package backends has the one budget.
// The driver itself repeats a request only after it learnt something: the
// bucket's region, fresh credentials, or the server's clock; each is tried once.
// Only the pages and HEADs of a listing, which the wrapper can't repeat by
// themselves, go through backends.Retry.
//
// GETs are most of all requests, and the SDK takes longer to make a small one than
// to send it. So its first GET of a bucket becomes a template (template.go): the next
// ones differ in key, version and range. They are written and signed as bytes (sign.go),
// or by the SDK's own signer when they hold more than plain ASCII or go through a proxy. Any
// answer but a success goes through the SDK as if it had asked.
//
// GETs have connections of their own (wires.go): the goroutine that asks writes the
// request and reads the answer, where net/http would hand both over to two others. The
// answer's header and a small body come in one read. They are dialed, trusted and bounded
// as the transport says; whoever's context ends closes the connection. A kept connection
// on which anything came since its last answer is not used again, and one that the server
// closed meanwhile costs another one, once. Requests through a proxy and redirects are
// net/http's.
//
// Locks: keyring.mu, regions.mu, templates.mu, wires.mu, textSigner.mu and found.mu are leaves; none is held during a
// request but keyring.mu while it renews, so that one renewal serves all.
package s3store
