// Package manifest is the vocabulary of pinfs: what a version of an artifact is
// and the rules for it. It does no I/O of its own, starts no goroutines and
// imports the standard library only, but for a checksum that this computes slowly.
//
//   - Entry: one file of a version: path, size, digest, reference, pin.
//   - Object: what a reference and its pin name together; immutable.
//   - Name: [project/]artifact[:version|alias], what people type.
//   - Header, Decode, Encode: W&B's manifest v1 in JSON, streamed.
//   - Hasher: the artifact digest, W&B's MD5 over the sorted entries.
//   - Error, Kind: the typed errors of all rooms. They live here because cache
//     and fusefs, which know no backend, must tell one kind from another.
//
// # Names and paths
//
// What is made here is strict (CheckProject, CheckArtifact, CheckAlias,
// CheckType), what is read is wider (ParseName), since a W&B server holds names
// with spaces and more. No part of either can leave the directory that it is
// joined to. Paths (CheckPath) are bytes, as Linux has them; JSON can only hold
// those in UTF-8, and Encode refuses the others rather than change them.
//
// # URIs
//
// In references, keys of object stores are literal: nothing is escaped or
// unescaped, and a '?' or '#' is part of the key (SplitBucketKey). Only a URI that
// a person types may end in a version (SplitVersion).
//
// # Manifest v1
//
// Decode holds one entry at a time: 1 MiB of JSON and 64 levels at most. It is
// stricter than W&B's readers where they would guess: text that is not UTF-8,
// halves of surrogate pairs and keys given twice are errors, and keys are
// case-sensitive. Numbers keep their text, since GCS generations do not fit a
// float64. Decode(Encode(Decode(x))) is Decode(x), and Encode of it is the same
// bytes each time.
package manifest
