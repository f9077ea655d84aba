// Package servers starts the real servers that integration tests run against,
// and a proxy that injects faults in front of them. It is for tests only.
//
// A server is a child process on a free port of the loopback interface with its
// data in a temporary directory of its own. It is stopped (TERM, then KILL) and
// its data removed when the test, or the test binary, is done; the kernel kills
// it when the test binary is killed. Its program comes from tools.sh; a missing
// one is an error that says so, never a skipped test.
//
// StartS3 serves one test, StartS3Main a whole test binary from its TestMain.
// Which S3 implementation runs is behind the type S3: a test says what it wants
// of a bucket, not of a program.
package servers
