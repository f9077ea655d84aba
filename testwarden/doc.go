// Package testwarden keeps test binaries that start processes or use mounts from
// hanging, and from leaving anything behind. It is for tests only.
//
// # Why
//
// A process that waits for a mount that it serves itself can't be killed: the
// waiting thread ends when the connection does, and the connection ends with the
// last thread. Go's own -timeout doesn't help against that, nor does `go test`,
// which waits for the process. And a process that outlives its test binary keeps
// whoever reads that one's output waiting.
//
// # How
//
// Main, called first in TestMain, runs the tests in a child process and watches.
//
//   - The child has a TMPDIR of its own, so what is mounted below that is its own. The
//     warden never looks into it: it can't get stuck.
//   - The warden is the reaper of all that the tests start, daemons too. When the
//     child has ended, what still runs after a while is killed, what is still mounted
//     is unmounted, and the run fails naming it.
//   - When the tests don't end by -timeout and a little more, it shows where the
//     child's threads wait, aborts the FUSE connections, which frees those who wait for
//     them, and kills the rest. Then it ends, whatever the rest does. Until then `go
//     test` waits: its own patience after a timeout is a minute.
//   - The child is killed when the warden dies. That is tied to a thread of the
//     warden that is never given up.
//
// Command is for the processes that tests start: a group of their own, killed as
// one, and no wait for who keeps their output open.
package testwarden
