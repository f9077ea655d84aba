// Package publish makes versions: Put from what sources list, Import from a W&B
// manifest; Export writes a version as one.
//
// # Put
//
// A line of stages with bounded queues between them, so that memory does not grow
// with the number of objects:
//
//	List, some sources at once
//	-> digest workers, in batches, for objects that have no digest
//	-> finishers, if Options ask for checksums, pieces or copies
//	-> one snapshot.Builder
//	-> copies into the registry -> registry.Commit
//
// Nothing is recorded before the commit. What is built lies in a temporary folder
// of the registry, which is removed however Put ends; a crash between the last two
// steps leaves copies that no version names, which do no harm.
//
// Objects are read at their pins, and all checksums that are known of them are
// compared: what changed since it was listed ends the Put.
//
// Paths follow W&B: a listing is at its paths below the URI, a single object at
// its base name; a NAME renames the single object and is the directory above a
// listing. A URI that is not listed (NoChecksum, schemes that can only be tracked)
// is one entry at its NAME, or its key.
package publish
