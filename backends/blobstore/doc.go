// Package blobstore is the driver of manifest.SourceBlob: contents that registries
// keep themselves, put there by `put --copy`.
//
// An entry of that source has no reference. Its copy is named by the SHA-256 that
// the manifest records (manifest.ExtraChecksums), its pin is its MD5 and its size.
// Since the name is the content's, any registry that has it has the right one:
// Finders asks all that a process has open.
//
//   - Store: finds the local file and leaves the reading, with its deadlines, to
//     the driver of files.
//   - Finders: the registries to look into.
//
// Entries without a pin are files that a W&B server stores: KindUnsupported. A copy
// that no registry has is KindGone, one with other bytes KindCorrupt.
//
// Locks: Finders.mu is a leaf; no registry is asked while it is held.
package blobstore
