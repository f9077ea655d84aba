// Package fusefs is the kernel's face: it shows versions of artifacts as
// read-only directories through /dev/fuse.
//
// # What lives here
//
//   - Content and Names: the two interfaces that the package asks, bytes and names.
//   - Follower: what hears which files are read, to fetch the next ones; Mounted.Push,
//     which gives them to the kernel before it asks; Place, where their names are listed.
//   - Lender: Content that has files which the kernel may read itself.
//   - Slots: numbers for the snapshots, projects and aliases that are in use.
//   - Mount, Attach, Mounted, Unmount: making, taking over and ending a mount.
//   - Keeper and MountState: how a mount outlives its process.
//   - Errno: the one table from manifest.Kind to errno.
//
// # Node ids
//
// A node id is computed: slot<<32 | index. Slot is an entry of Slots, index the
// record in that slot's snapshot (0 for the root of a version, for a project and
// for an alias). The mount's root is always 1. Slot 0 is the list of projects.
// Nothing is handed out, so FORGET is ignored, there are no lookup counts, and
// the memory for what the kernel has looked up is zero. A slot is appended to
// the journal before its first id is given out, so another process that replays
// the journal understands every id that the kernel holds.
//
// # What the kernel may keep
//
// Below a version nothing changes: entries, attributes, missing names, directory
// contents and data are kept for ever, but for bytes that turn out to be wrong
// after they were served (Mounted.Distrust). The lists of names (the root of a mount
// of names, projects) are never kept; the names in them for a second, so that a
// moved alias or a deleted version shows. An alias is a symlink whose id depends
// on its target. OPEN and FLUSH answer ENOSYS once and the kernel stops asking;
// in a mount of one version so does OPENDIR. With names it can't: the kernel
// would keep the lists as well.
//
// # Passthrough
//
// A mount with OpenPassthrough answers OPEN (open.go). If Content lends a file, the
// kernel is given its number (backing.go) and reads it without asking. The kernel
// wants all handles of a node to be alike: all ordinary, or all passthrough to one
// file. So the nodes that have handles are remembered, from the answer to OPEN until
// RELEASE, which comes some time after close. Numbers of handles carry the mount's
// epoch. What is open, and which files the kernel has, is in Options.OpenTable too:
// memory from which another process goes on (opentable.go, adopt.go).
//
// # Rules
//
//   - ENOSYS only where it is meant: the kernel then never sends that request again.
//   - A read gives all bytes that were asked for up to the end of the file, or an
//     error; the kernel takes a short answer for the end of the file.
//   - A signal is no reason to fail a read: only a caller that is being killed
//     gets EINTR (see caller.go).
//   - Each wait has a deadline: Options.ReadTimeout for bytes, NamesTimeout for names.
//   - The process that serves a mount does not map files of it: a thread in a page
//     fault can't be stopped, and the collector would wait for it for ever.
//   - The process that serves a mount never uses it, not even to see whether it
//     answers. Killed in such a call it could not die: the call waits for an
//     answer, and the kernel ends the mount only when the process is gone.
//   - Handlers run in one goroutine for each request that the kernel has under
//     way: at most MaxBackground (64) of read-ahead and one for each thread that waits.
//
// # Speed
//
// A request for an open version takes no lock of this package: slots and trees are
// found in tables that are replaced as a whole, users of a tree are counted
// atomically. Handlers for names and attributes allocate nothing. The context of a
// request has neither timer nor goroutine until somebody asks for its Done, so
// Content should do so only when it is about to wait.
//
// READDIRPLUS is asked for always, not as the kernel's heuristic has it
// (READDIRPLUS_AUTO). A listing without attributes costs a fourth, but then each
// name that is used is a LOOKUP, which costs five times what its attributes cost
// in the listing: programs that list a directory to its end before they stat (find,
// tar) or that open what they listed would pay that for almost every file.
//
// Lock order: Mounted.pushing, which Push holds while it asks Content; openNode.mu, backing.mu, then whatever Lender locks, then backings.mu.
// opens.mu, treeCache.mu and Slots.mu and faults.mu and listings.mu are leaves:
// none is held while another is taken. Slots.mu is held while the journal is written.
package fusefs
