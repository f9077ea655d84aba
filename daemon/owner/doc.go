// Package owner is the process that holds the descriptors of mounts while others come
// and go: as long as somebody has a mount's /dev/fuse open, its readers wait instead
// of failing. It is what systemd is for a unit with FileDescriptorStoreMax=, and
// speaks the same protocol (daemon/fdstore), for hosts without systemd and for users
// who just type `pinfs mount`.
//
// # Life
//
// Run starts one worker and waits for it. Then
//
//   - exit code 0 ends Run: there is nothing left to do;
//   - an end before any worker was ready ends Run with the same code: the start failed;
//   - exit code 75 (Again) of a worker that was ready starts the next one at once;
//   - any other end, by a signal too, starts the next one after a pause, see pace;
//   - unless nothing is kept: then there is nobody to go on for, and Run fails.
//
// After a dozen workers in a row that ended before they were ready the next one is told
// (GiveUpEnv), so that it can answer with errors what nobody can serve.
//
// A worker that is not ready within a minute is killed. When ctx ends, the worker gets
// SIGTERM, and SIGKILL if that does not end it within half a minute. Whatever ends
// Run, it closes all that it kept: connections that nobody else has end with it. To
// unmount them is up to the worker, or to the caller.
//
// A worker gets what is kept from descriptor 3 on, in the order in which it came, and
// is in a process group of its own: what a terminal or a job sends to the owner's
// group reaches it through the owner. It has no descriptor of the owner's besides. It
// outlives an owner that is killed, but then nobody starts the next one.
//
// # Programs
//
// A worker may name the program to start next time (X_PINFS_PROGRAM), a new build. One
// that can't be started, or whose workers ended three times before they were ready,
// gives way to the one before it, and at last to the owner's own, which is there
// even when its file was deleted.
//
// # Messages
//
// The socket is in the abstract namespace, by a random name: nothing is left behind
// and no path is too long. Anybody may send to it; only what the kernel says to come
// from the worker or from the owner's user is looked at. When a worker has ended, all
// that is in the socket is read before the next one starts, so that nothing that it
// sent is lost.
//
// At most 4096 descriptors are kept, 16 may come with a message of at most 4096 bytes,
// and the names together fit into one variable of an environment. A descriptor for
// the same open file as one that is kept already is dropped, as systemd does.
// WATCHDOG is not acted upon, and FDPOLL always 0.
//
// # Rules
//
// All state belongs to the goroutine of Run, but while a worker runs, the goroutine
// that reads messages has what is kept and the programs. It ends before Run looks at
// them again. There are no locks.
package owner
