// Package filestore is the driver of file:///absolute/path: files of this host
// and of the shares that it mounts. A path in a URI is literal: nothing in it is
// decoded, as W&B does not either.
//
// # What is recorded
//
// Size and base64 MD5 of the content; List gives no digest, since Digest reads
// the file for it, many at once if the caller likes. The reference is the path
// as it was given, made absolute, not resolved: the root itself may be a
// symbolic link.
//
// Below a directory:
//
//   - A symbolic link to a file inside the tree is recorded as a file. A link
//     out of the tree, to a directory, or to nothing is an error that names it:
//     it can't be recorded, and to leave it out would lose data in silence.
//   - Sockets, FIFOs and devices are errors, and so are names that are not UTF-8,
//     which JSON can't hold.
//   - Empty directories can't be recorded and are left out.
//
// # What is read
//
// A file is opened by its path, links are followed, and it is never waited for a
// FIFO. Stat reads and hashes the whole file. Open compares the size, and says
// what the file's digest is now when it differs, up to MaxNamed bytes. A file
// that changes under a stream (size or mtime) ends it with KindChanged; the
// digest is the caller's to check.
//
// With Options.Rules a path is looked at first (O_PATH): where it led to, by the
// kernel's word for the descriptor, must be allowed, and a regular file; then that
// descriptor's file is opened, and nothing else. Before all that the mount table tells
// whether it lies on a mount of pinfs: who serves one may not wait for one.
//
// # Hashing
//
// DigestMany hashes up to 16 files at once in SIMD lanes (engine), which takes one
// core about as long as one or two files alone. A file of up to 1 MiB is one call
// of five system calls: open, stat, read, stat, close. A larger one is read a piece
// ahead. A change of size, time, inode or, for small files, number of names ends it
// with KindChanged. Where the processor has no AVX2, each lane is crypto/md5.
//
// # Shares that hang
//
// A system call on a dead share can't be cancelled. Each runs in a goroutine of
// its own, which is left behind after Options.ShareTimeout or when the context
// ends, with buffers that nobody else uses. That is counted for each mount (share):
// when Options.MaxStuck calls on one have not returned in their time, each further
// one on it is KindTimeout at once, until some return; other mounts do not notice.
// No more than Options.MaxCalls run on one at all. Which mount a path lies on is
// found in the mount table and by reading links, of which each is a call on the
// mount that it lies on itself; the answers are remembered by directory. A link
// that is the last component of a path counts for the mount that it lies on.
//
// # Locks
//
// shares.mu and engines.mu are leaves; no share is asked under them. A share has an
// atomic count and a semaphore. Store has pools of buffers. A stream is used by one
// goroutine at a time.
package filestore
