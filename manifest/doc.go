// Package manifest is the vocabulary of pinfs: what a version of an artifact is
// and the rules for it. It does no I/O and imports the standard library only.
//
//   - Entry: one file of a version: path, size, digest, reference, pin.
//   - Object: what a reference and its pin name together; immutable.
//   - Name: [project/]artifact[:version|alias], what people type.
//   - Decode, Encode: W&B's manifest v1 in JSON, streamed.
//   - Hasher: the artifact digest, W&B's MD5 over the sorted entries.
//   - Error, Kind: the typed errors of all rooms. They live here because cache
//     and fusefs, which know no backend, must tell one kind from another.
package manifest
