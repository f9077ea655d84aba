// Package daemon is the process behind mounts: one for each cache directory, with
// any number of mounts of versions, projects or whole registries.
//
// # What lives here
//
//   - Daemon: the cache, the sources and the mounts of one process.
//   - Adapters: source (backends → cache.Source), content (cache →
//     fusefs.Content), names (registry → fusefs.Names).
//   - ahead, order, rest: readers that take files in the order of the manifest, or most
//     of them in none, and what is fetched before they ask. pushes: names and contents
//     that the kernel is given before they ask, of small files in order.
//   - Unpinned references: each mount has an expand.Expander, whose snapshots are in
//     CACHE/found. They go with the mount; those of a process that died go when the
//     next one starts.
//   - Warm jobs and fills: a bringing has a version's objects brought to the cache.
//   - Client and the control socket: HTTP with JSON over CACHE/control.sock.
//   - Start: a daemon in the background, and how it says that it is ready.
//   - LogFile: where such a daemon logs, bounded.
//   - Store, handover, restore, Upgrade: how mounts outlive the process.
//
// # Life
//
// Whoever holds the lock of the cache directory is its daemon. It binds the
// socket after it has the lock, so that a socket that is there without a lock is
// a dead one's. It ends after its last mount and job are gone, or when it is told;
// then it takes nothing new and says so, and Client.MountOrStart or WarmOrStart starts
// the next one. A warm job ends with its client, a fill with its mount.
// All mounts of a daemon share its sources, so a request that needs others (an
// endpoint, credentials) is refused. Registries differ freely.
//
// # Owner and worker
//
// A daemon in the background is the worker of an owner (daemon/owner), or of systemd:
// a Store that keeps descriptors for whoever comes next (handover.go). For each mount
// these are the connection (conn-ID), a memory file with what is known of it, line by
// line (state-ID, statefile.go), the snapshot of a mount of one version (snapshot-ID), and
// memory for what is open and asked (memory-ID, fusefs); and once the lock of the
// cache directory (lock), so that nobody else takes the directory in between. They are
// kept before the kernel has an answer that depends on them. A worker that is
// started with descriptors goes on with their mounts before it answers the socket
// (restore.go); what the last one had not answered the kernel asks again. An end in
// peace takes all of it back, the lock last. Upgrade is an end without farewell: the
// cache is made for that.
//
// What unpinned references were found to be goes along (found and pinned lines), with
// the files in CACHE/found. A warm job ends with the worker, a fill begins anew.
//
// # Control
//
//	POST   /v1/mounts    MountRequest    -> MountReply
//	DELETE /v1/mounts    UnmountRequest  -> {}
//	POST   /v1/check     CheckRequest    -> lines of progress, then CheckResult
//	POST   /v1/warm      WarmRequest     -> lines of progress and failures, then WarmResult
//	GET    /v1/status                    -> Status
//	POST   /v1/upgrade   UpgradeRequest  -> UpgradeReply; then another process answers
//	POST   /v1/shutdown                  -> {}
//
// An error is {"error": {...}} with the fields of manifest.Error. The same user
// and root may ask, by SO_PEERCRED; nobody else is answered.
//
// # Rules
//
// Daemon.mu guards the tables of mounts and registries and is never held while
// anything is waited for: a mount is first reserved, then made, then entered.
// filling.mu is taken before bringing.mu, both before the cache's. faultLog.mu,
// Outages.mu and counters are leaves. ahead.mu, one for each mount, is held while
// fetches are begun: the cache's locks and pushes.mu, a leaf, come after it.
//
// # Pushing
//
// A reader that takes small files in order, from the cache, would ask twice for each:
// LOOKUP and READ, and wait for both. Instead the names that come next are listed by
// another process (fusefs/lister), if he had to look them up, and the contents are
// put into the kernel's cache, up to 64 files before him. One of them is left out: its
// READ tells how far he is. Where he is faster than the cache, or what comes next is
// not here yet, nothing is pushed for the next 8 to 128 reads. The same process lists
// every other stripe of directories beside a reader that lists them in order (walk).
//
// # Bringing
//
// First the cache's index is asked for every file, then what is missing is brought
// in the order of the manifest. An object takes units by its size, so that many
// small ones or a few large ones are under way, and their buffers stay below three
// quarters of the memory; a fill has a quarter of requests and memory, and brings one
// object at a time while a reader waits for a source. Of small ones a job has no more
// under way than hide the latency of the source (cache.Cache.WarmAtOnce). A source that gives no answer
// for 12 s is not asked again by the same job. A job that finds what it brought first
// evicted stops: the cache holds no more.
package daemon
