// Package download brings versions to a directory (Get) and asks the sources
// whether all objects are still there at their pins (Verify).
//
// # Get
//
// Each file is fetched at its pin into a temporary file beside its place,
// ".pinfs-<hash of the path>.part", checked (length; chunks; every checksum that the
// manifest records or the source vouches for), and renamed. So a file under its
// name is whole and right, also after a kill; a Get that is repeated fetches only
// what is missing or can't be checked, and takes over what a killed one left.
// Files that are no part of the version are left alone, and no link leads a write
// out of the root (os.Root).
//
// What fails for one file does not stop the others, but for a full or read-only
// disk and the end of the context. Nothing is synced to disk: after a power loss
// the repeated Get checks contents.
//
// # Verify
//
// Verify says for each file what was compared. Without Read nothing but files is
// read: the source tells whether the pinned version is there, and its checksums,
// which are held against the recorded ones. With Read each content is streamed and
// compared with one thing: its chunks, else the strongest recorded checksum, else
// one that the source tells, else the length.
//
// # Bounds
//
// At most Parallel requests are under way (getter.slots) and as many files; a
// large file is fetched in parts, partWindow ahead of the one that is being
// hashed. Memory: one buffer a request and one a hash. Backends are expected to be
// wrapped (backends.Wrap): broken streams are resumed and deadlines kept there.
package download
