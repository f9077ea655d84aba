// Package httpstore is the driver of http:// and https:// references: any web
// server. It is the only importer of the netrc library.
//
// # References
//
// A reference is the URL as it was typed: percent-coded, with its query, which
// may be a signature. A fragment is recorded and never sent. Redirects are
// followed each time and their targets are recorded nowhere. URLs with user or
// password are refused, since every manifest and every message would show them.
// (W&B's SDK records the last redirect's target, signatures included. It can be
// read, as any URL can.)
//
// A URL means one object; there are no listings. Recorded are, as W&B does: the
// ETag as extra.etag, as sent; the same as digest, but without the quotes of a
// strong one; the URL as digest when there is none. Our own addition, where there
// is no strong ETag: extra.lastModified, as sent.
//
// # What pins
//
//   - A strong ETag: If-Match is sent, and the ETag of each answer compared,
//     since many servers ignore If-Match. Where an answer to a range has no ETag,
//     or a server says 412 though the ETag is the pinned one, If-Range is sent
//     instead, which a server that does not know it answers with the whole.
//   - Last-Modified and the size: the same with If-Unmodified-Since. A second
//     write within one second that keeps the size is not seen.
//   - A weak ETag and no time: the ETag of each answer is compared. It is only as
//     good as the server's promise, which is no promise of equal bytes.
//   - Nothing: KindUnsupported; the reference is tracked only.
//
// # Answers
//
// "Accept-Encoding: identity" is always sent, and an answer that is coded all the
// same is an error: its bytes and its length are not the object's. A server
// without ranges answers with the whole: what is before the range is read and
// dropped, as long as the context of the call allows. A HEAD that is refused, or
// tells no length, is asked again as a GET of one byte.
//
// # Credentials
//
// Options.Headers and netrc, for the host that they name. Redirects carry them
// only while they stay at the origin of the reference (the way from http to https
// of one host does), and never again after they have left it. A redirect from
// https to http is refused, and there is no Referer. Messages name the
// reference, never the target of a redirect.
//
// Options.Rules hold for each request, the URL of each redirect, and each address that
// a name resolves to: no connection is made to link-local ones, where clouds have their
// metadata with credentials, and others that backends.Rules name.
//
// # Locks
//
// netrcFile.mu and habits.mu are leaves; netrcFile.mu is held while the file is
// read.
package httpstore
