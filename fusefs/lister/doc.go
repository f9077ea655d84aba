// Package lister lists directories of mounts from another process, so that the
// kernel knows their files before a reader asks for them one by one: a name that
// came with READDIRPLUS costs a tenth of a LOOKUP, which its reader waits for.
//
// It is another process, since one that waits for an answer of its own mount can't
// be killed: the kernel waits for the answer, and nobody is left to give it. The
// process has no descriptor but its ends of two pipes, no environment, and ends
// with whoever started it.
//
// Requests and answers are lines of JSON, one at a time.
package lister
