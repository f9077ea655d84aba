// Package gcsstore is the driver of gs:// references: Google Cloud Storage. It is
// the only importer of Google's clients.
//
// # References
//
// gs://bucket/key. The key is literal: nothing in it is percent-coded, and '?',
// '#', '%' and '+' are parts of it. Only List takes a trailing "#GENERATION", which
// picks one generation of one object and is no part of the recorded ref; if there is
// no such generation it is looked for as a part of the key. Recorded are the
// object's etag as digest and its generation as extra.versionID, a JSON number.
// (Up to 0.16 W&B's SDK recorded the MD5 as digest, and the etag as extra.etag: that
// is read too. It takes siblings that share the prefix and cuts keys at '?'
// and '#'; neither is copied.)
//
// # Listing
//
// One request gives 1,000 objects with generation, ETag, MD5 and CRC32C, and no
// other fields, so that no object is asked for by itself. The next page is fetched
// while the caller works on the current one, and large folders are listed several
// at once (backends.Tree). Empty objects whose key ends in '/' are folder markers.
// Rights needed: storage.objects.list, and storage.objects.get for the object that
// the URI may name.
//
// # Reading
//
// All content is read at a generation, which never changes: size and checksums are
// compared with the manifest's before any byte is given, the ETag is not, because
// an edit of metadata makes another one of the same content. Rights needed:
// storage.objects.get.
//
// Pins without a generation are older ones: W&B's SDK before 0.17 recorded the MD5
// as digest and nothing else. The current object is taken if its MD5 (or ETag) is
// the pinned one, else the older generations are searched for it, which needs
// storage.objects.list; what was found is remembered. No content is hashed for it:
// Google knows the MD5, but of objects that a compose made, which can't be pinned
// so.
//
// A generation that is gone is KindGone, with the current one as what was found:
// nothing tells a bucket without versions, where a write replaces the object, from
// a deleted generation.
//
// Objects stored with Content-Encoding gzip are read as they are stored. An answer
// that was unpacked on the way is refused.
//
// # Requests
//
// They go to the JSON API by google.golang.org/api/storage/v1, which sends each
// once. The client above it, cloud.google.com/go/storage, is not used: its reader
// goes on by itself where a body breaks off, as often as it likes and whatever its
// retry policy says, and each Read waits until the caller's buffer is full, so that
// slow bodies look like silent ones. The wrapper of package backends has the one
// retry budget; only the pages of a listing, which the wrapper can't repeat by
// themselves, go through backends.Retry. A request that is refused with 401 is sent
// again once, with credentials that are read again.
//
// Each wait has an end: headers of answers and whole answers with metadata by
// Options.Retry.StallTimeout, bodies by the wrapper, which ends their context.
//
// # Credentials
//
// Looked for at the first request: Options.CredentialsFile,
// GOOGLE_APPLICATION_CREDENTIALS, gcloud's application default credentials, and
// only if none is there the metadata server, for three seconds at most. That none
// are there, or that they are refused, is believed for ten seconds. They are asked for read-only access.
// Redirects are not followed: they would take the token along.
//
// Locks: keyring.mu and found.mu are leaves, not held during a request. One caller
// at a time asks for a token, by a slot that the others wait for as long as their
// contexts let them; keyring.mu may be taken with the slot, not the other way.
package gcsstore
