// Package gcsgate stands in front of fake-gcs-server and adds what it lacks
// when objects are read and listed. It is for tests only; standard library only.
//
// What the gate adds, each as Google Cloud Storage documents it:
//
//   - Preconditions of reads: ifGenerationMatch, ifMetagenerationMatch (412), their
//     NotMatch forms (304), the x-goog-if-…-match headers, If-Match, If-None-Match.
//   - Listings in pages of maxResults, at most 1,000, sorted by name and generation,
//     each prefix once, and with the fields that were asked for and no others.
//   - ETags that belong to a generation: opaque in JSON, the MD5 in hexadecimal in
//     XML (fake-gcs-server's is the MD5 in base64 everywhere).
//   - Objects without an MD5, as a compose makes them: those that are written with
//     the metadata CompositeKey, which readers don't see.
//   - The header X-Goog-Metageneration.
//
// Everything else passes unchanged. There is no authentication: refusals are for
// a fault proxy to inject.
package gcsgate
