// Package expand finds what unpinned references mean: those that were recorded
// without a look at their source (W&B's checksum=False, put --no-checksum). An
// Expander lists each once, when its version is first looked at, and pins what it
// finds; all who share the Expander see the same from then on. Nothing of it
// reaches the registry.
//
// # What is found
//
//   - A reference whose digest is the URI itself: the one object that it names
//     takes its place, else it becomes a directory of what is below the URI.
//     (Expander.Open)
//   - A file of a known size whose digest stands for no look at it
//     (manifest.NoMD5): it is read and pinned when it is first opened, since
//     reading all files of a version at once can take hours. (Expander.Pin)
//
// The result is a snapshot of the whole version, in a file of Options.Dir that
// lives as long as the Expander. Where an object that is found has the path of an
// entry of the version, or of one found before, that one stays. Names that can't be
// paths are left out and counted.
//
// # What fails
//
// A source that can't be reached now fails the opening, and the next one tries
// again. What fails for good (denied, nothing there, too many objects) leaves the
// reference as it is, a file that can't be read; Failure says why.
//
// # Locks
//
// Expander.mu is a leaf. Each version has a turn, a channel that is waited for with
// the caller's context; whoever has it lists and builds.
package expand
