// Package registry is where names live: projects, artifacts, versions, aliases.
// A Registry keeps them in a Store, which is a directory (DirStore) or, for a
// fleet, a bucket: the store's conditional writes are the only lock.
//
// # Layout
//
//	pinfs-registry.json                                   format version
//	projects/<project>/<artifact>/artifact.json           type, description, created
//	projects/<project>/<artifact>/versions/<n>.json       digest, pins, snapshot, type, size, files, created, by, run, metadata
//	projects/<project>/<artifact>/aliases/<alias>.json    version, moved when and by whom
//	snapshots/<sha256>                                    immutable
//	blobs/<2 hex>/<sha256>                                immutable: contents of put --copy
//
// Records are indented JSON; unknown fields are ignored. A version's number is
// its file name and is never used again: a deleted version stays as a record
// with "deleted". A version's type is in its own record, so that creating
// versions/0.json is what decides an artifact's type; artifact.json comes after
// it and is written by the next commit if a crash prevented it. A project or an
// artifact exists if a version of it does.
//
// # Commit
//
//  1. The latest version has the same digest, and the same pins (snapshot.Summary;
//     most have none): that version is the answer, even if references or sizes
//     differ (the digest covers paths and digests only). W&B does the same, but for
//     the pins.
//  2. Write the snapshot under its own hash, absent or equal.
//  3. Create versions/<n>.json if absent, n one above the highest. Lost the race:
//     start again at 1.
//  4. Write artifact.json if absent; move the aliases. "latest" is not stored: it
//     is the highest version that is not deleted.
//
// A crash between any two steps leaves the registry as before (a snapshot that
// nothing names does no harm) or complete but for aliases, which a repeated
// commit moves.
//
// # Rules
//
// Finding the latest version lists names and reads one record. Readers take no
// lock and need no permission to write. All errors are *manifest.Error.
//
// Lock order: Registry.numbering (one slot an artifact), then DirStore.turn, then
// the flock of DirStore's lock file. Nothing else is held while waiting for them.
package registry
