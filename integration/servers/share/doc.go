// Package share is a file share that misbehaves on command: a read-only FUSE file
// system over a directory, which answers with errors, late, or not at all. It
// stands in for NFS and the like. It is for tests only.
//
// A share is served by a process of its own, which is the test binary started
// again with an environment variable that its TestMain looks for (Asked, Serve).
// It is told what to do over HTTP at a loopback address: GET /ready, PUT /rules,
// GET /state.
//
// Nobody is left stuck. A request that hangs goes on as soon as its rule is gone,
// and ends when its reader was killed, as with a hard NFS mount; TERM ends all
// that hang, then the mount, then the process; and when the process is killed, the
// kernel ends the connection. The test's own process must still never touch the
// mount point: only children that can be killed may.
//
// Nothing is cached by the kernel, neither attributes nor content, so that every
// stat and every read comes to the rules.
package share
