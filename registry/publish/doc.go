// Package publish makes versions: Put from what sources list, Import from a W&B
// manifest; Export writes a version as one.
//
// # Put
//
// A line of stages with bounded queues between them, so that memory does not grow
// with the number of objects:
//
//	List, some sources at once -> digest workers, for objects that have none -> one snapshot.Builder -> registry.Commit
//
// Nothing is recorded before the commit. What is built lies in a temporary folder
// of the registry, which is removed however Put ends.
//
// Paths follow W&B: a listing is at its paths below the URI, a single object at
// its base name; a NAME renames the single object and is the directory above a
// listing.
package publish
