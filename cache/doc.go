// Package cache keeps the bytes of objects on this host. It knows manifest.Object
// and a Source of bytes, nothing of FUSE and of backends.
//
// What is promised: a read gives the bytes of the object or an error that says
// why, never others; one request to the source for all who wait for the same
// bytes; no wait without a deadline; memory, disk, descriptors and requests in
// flight are bounded.
//
// # The directory
//
//	lock          flock of the process that uses it, with its pid
//	format        "pinfs cache 1"; anything else, and the content is emptied
//	index/        badger: what is here
//	objects/xx/k  content of objects above 64 KiB: one sparse file each, named
//	              by the object's key in hex (xx: its first two digits), as
//	              long as the object
//	starts        how often it was started without a good end; see countStart
//	reserve       64 MiB that are given back when the file system runs full
//	trash-*       what was put aside to be removed
//
// Keys of the index, each with the object's key (manifest.Object.Key):
//
//	o key         record: flags, size, stored bytes, last use
//	d key         content of an object of at most one block (64 KiB)
//	b key chunk   table of 1,024 blocks: bitmap of those here, CRC32C of each
//	u time key    the order of use, for eviction; kept objects have none
//	z key         a size that was asked for
//	m             counts
//
// Each value ends with the CRC32C of its key and itself; one that does not fit
// counts as absent. Integers are big endian.
//
// The disk holds at most Options.Size of content, 64 MiB of reserve, some 400
// bytes for each object, and for a while what was evicted of small objects:
// badger finds out with a delay of up to 256 MiB, and gives it back within
// seconds. A quarter of the limit at most is counted against that.
//
// # The way of the bytes
//
// A fetch fills a page-aligned buffer, on large pages where the host has them;
// readers are answered from it while it fills, a block of 64 KiB at a time. A View
// lends a reader the buffer itself, so that FUSE copies from it into the kernel's pages
// and nothing is copied before. From the same buffer it goes to disk, past the kernel's page cache (O_DIRECT): memory holds
// the data once, in the kernel's cache of the mount. Where the file system refuses
// that, and for the last bytes of a file that fill no page, writes are ordinary ones,
// dropped from the page cache afterwards. Files are exactly as long as their objects.
//
// A disk that is slower than the source holds nobody: parts that wait for it are
// given up when their memory is wanted (see writes), and fetched again when they are
// read again, or behind the readers of an object that somebody would borrow (mend).
//
// A sequential reader has a window fetched ahead of it, eight times what it read in
// sequence, in parts of up to 8 MiB, smaller ones at the end of the object: as many as
// fill the link (pace), Options.Parallel at most. A source that is near and quick gets
// few at once, since each takes memory that the kernel has to clear. Of what is on disk the next 16 MiB are read ahead, in parts too, so that
// each disk read is a large one. A read at random gets its blocks and no more, until an
// eighth of a region of 8 MiB is here: the rest of it is then fetched.
//
// # Crashes
//
// No order of writes to the disk is needed, so nothing is synced. A block enters
// the index after its bytes were written; if a power loss keeps the entry and
// not the bytes, its CRC32C does not fit. Every block is checked each time that
// it leaves the disk. A file without an entry is removed by a slow sweep after a
// start that followed no clean end. Eviction removes the file first; an entry
// without a file is found at the next read.
//
// # Checking
//
// Objects up to 1 MiB are fetched whole and checked before their first byte is
// served. So are, at any size, objects that only their content pins (PinMD5:
// files) and those that failed a check: one pass in order, which learns the CRC
// of every block, also of those that there is no room for. Others are checked
// in the background when complete. A mismatch drops the object, and who may have
// been served of it is told (Options.OnMismatch).
//
// Objects with chunk digests (manifest.Chunks; "pieces" in the code, where chunks
// are the index's tables of blocks) are fetched in whole pieces, which are compared
// with their digests before a byte of them is served or written; a wrong one is
// fetched once more, then its readers get KindCorrupt, and those of other pieces
// theirs. Nothing else is needed then: such an object is verified when all of it is
// here, and ReadVerifiedAt serves any piece of it. An object that lost its digests
// on the way is refused.
//
// The check of the whole by a CRC reads nothing back: CRC32C is joined from those of the
// blocks; for CRC-64/NVME and CRC-32 parts are hashed when they are written (proof.go),
// by the one that the source told last until it is known which it has. The source is
// asked for its checksum when half of the object, or 8 MiB, are here, and also where it
// told an MD5 or a SHA-256 without being asked, for which all had to be read back
// (tell.go). What another process wrote, and all of it after damage, is read from disk.
//
// What the manifest records of the whole goes above what the source says. Checksums
// are no part of an object's key: they are taken from whoever brings them first.
//
// ReadVerifiedAt does such a pass for every object above 1 MiB, and compares each
// block that it gives with the CRC that the check of the whole found, wherever
// the block came from. CheckLocal reads again what is on disk and asks nobody.
//
// # Many small objects
//
// The content of a small object goes into the index from the buffer that it was
// fetched into, which has room for the seal behind it: no copy. The writer commits what
// came meanwhile, up to 256 objects, in one transaction. A commit costs as much as some
// objects, so that it waits up to 4 ms for others unless many came, or half of those
// who wait for one; readers wait for none. Counters say whether anything was put
// since somebody looked in vain (putCounts), so that a miss is one look into the index.
//
// Prefetch begins fetches that nobody waits for. Of the requests it takes as many as
// hide the latency of the source (latency): on a loaded host more would only get in
// the way of those that somebody waits for.
//
// # Loans
//
// Lend hands out the file of a complete object, for the kernel to read (backing.go).
// Nobody checks what is read of it, so it must be verified as far as it can be, and
// each of its blocks must have been compared with its CRC32C once in this process:
// Lend and Prepare have that done in the background. A file in use is not evicted;
// a dropped one is unlinked, never cut, and its loans are revoked.
//
// # Locks
//
// In this order; the later ones are leaves and hold no other:
//
//	Cache.life    read-held by each call of the API, taken by Close
//	object.mu     tables, parts, streams and flags of one object
//	part.mu       who waits for a part
//	shard.mu      which objects are in memory, and their users
//	quota.mu, budget.mu, writer.mu, writes.mu, lingering.mu, failures.mu, recentSet.mu,
//	lending.mu, tellers.mu
//
// Disk and network I/O happen outside all of them, but for reads of the index
// and opening a file, which object.mu covers. Only the writer's goroutine
// changes the index. A part's slot is taken before its memory, and memory is
// given back without waiting for anything but the disk, so that who waits for
// either goes on.
package cache
