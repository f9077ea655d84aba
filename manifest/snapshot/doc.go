// Package snapshot keeps a manifest as one file that is mapped into memory and
// never parsed: Builder makes it from a stream of entries in any order, within a
// fixed amount of memory; Open maps it, and every question is answered from the
// mapping. Diff compares two of them.
//
// # Rules
//
//   - A snapshot is immutable. The same manifest gives the same bytes, whatever
//     the order of Add and however much memory the builder had.
//   - Every byte is checked before it is used: page 0 and the table of CRCs by
//     Open, each 64 KiB chunk when it is touched first. A flipped byte, a file cut
//     short (before or after it was mapped) and an I/O error are KindCorrupt, never
//     a panic or a signal. What a chunk held is not checked a second time: files
//     are replaced by rename, never written in place.
//   - Nothing handed out points into the mapping.
//   - A Snapshot may be used by many goroutines; it has no locks, only an atomic
//     bitmap of the chunks that were checked, and atomic pointers to the chunk
//     digests that were asked for last. Close must come after the last call
//     and the last step of an iterator: that is the caller's duty.
//   - A Builder belongs to one goroutine. Its spill files have no name: they are
//     unlinked as soon as they are open, so even kill -9 leaves nothing of them. It
//     holds at most five descriptors.
//
// # The file
//
// Little endian. Offsets and lengths are in bytes, from the start of the file
// unless said otherwise. "uvarint" and "varint" are those of encoding/binary.
// "text" is an uvarint length and that many bytes.
//
// Page 0, 4096 bytes:
//
//	   0  8   magic "pinfsnap"
//	   8  u32 format version: 1; others are KindUnsupported
//	  12  u32 flags: 0; a bit that is not known is KindUnsupported
//	  16  u64 length of the file
//	  24  u64 nodes, the root among them: files + directories + 1
//	  32  u64 files, shadowed ones among them: the entries of the manifest
//	  40  u64 directories, without the root
//	  48  u64 sum of the sizes that are known, shadowed files among them
//	  56  u64 shadowed files
//	  64  u64 files whose size is not known
//	  72  u32 CRC32C of the section of CRCs
//	  76  u32 number of sections: at most 123
//	  80  16  artifact digest (MD5, see manifest.Hasher)
//	  96  16  pins (see pins.go); 0 when there are none
//	 112  u64 unpinned files, see Summary
//	 120  8   0
//	 128  32 each: the sections, in the order of the file:
//	          0  u32 kind
//	          4  u32 flags: bit 0 = optional: a reader that does not know the
//	                 kind goes on without; others are KindUnsupported
//	          8  u64 offset, a multiple of 8; gaps are 0
//	         16  u64 length
//	         24  u64 number of its elements; 0 where it has none
//	4092  u32 CRC32C of the 4092 bytes before
//
// Sections:
//
//	1 nodes     40 bytes each, below
//	2 names     the names of all nodes, end to end, in the order of the nodes
//	3 blobs     what else an entry holds, in depth-first order of the paths
//	4 prefixes  of references: u32 × (n + 1) offsets from the end of these offsets,
//	            then the text; n ≤ 65,536, text ≤ 16 MiB. In the order of their
//	            first use by the blobs; when full, references are kept whole
//	5 meta      JSON of Meta, keys sorted, at most 1 MiB
//	7 chunks    digests of the chunks of files, below. Optional, and only there when
//	            a file has some
//	6 CRCs      u32 CRC32C of each chunk; the last section, ends with the file.
//	            Chunk k is the bytes from k × 65536 up to (k+1) × 65536, chunk 0
//	            without page 0, the last one only up to this section
//
// A node. The root is node 0; the order is breadth first, and the children of a
// directory are one run, sorted by the bytes of their names. Of a directory and a
// shadowed file of one name the directory is first.
//
//	 0  i64 size in bytes, as the manifest has it, -1 unknown | directories: u32
//	        index of the first child (0 when none), u32 number of children, the
//	        shadowed among them
//	 8  i64 when modified: ns since 1970 UTC, 0 when not known; clamped, see blobs
//	16  u40 offset of the name in its section
//	21  u8  length of the name; 0 only for the root
//	22  u8  flags: 1 directory, 2 shadowed, 4 size not known (by Node's rule),
//	        8 the time is known, 16 it is in the section of chunks
//	23  u8  0
//	24  u32 index of the parent; the root is its own
//	28  u32 length of the blob | directories: number of subdirectories
//	32  u64 offset of the blob in its section | directories: 0
//
// A blob:
//
//	u16 flags, from bit 0 on:
//	    2 bits reference: 0 none; 1 uvarint prefix, uvarint k: the tail is the
//	           entry's path from its component k on; 2 uvarint prefix, text tail;
//	           3 text
//	    3 bits digest: 0 ""; 1 text; 2 16 bytes: lower-case hex; 3 the same and
//	           uvarint n: "hex-n" (multipart); 4 16 bytes: base64; 5 equal to the
//	           reference; 6 32 bytes: lower-case hex
//	    2 bits extra.etag: 0 none; 1 equal to the digest; 2 the digest in double
//	           quotes; 3 text
//	    3 bits extra.versionID: 0 none; 1 text; 2 16 bytes: lower-case UUID;
//	           3 uvarint: a JSON number; 4 u8 length and 6 bits a character,
//	           low bits first, of A-Z a-z 0-9 . _
//	    1 bit  the rest of extra: text, compact JSON with sorted keys
//	    1 bit  birthArtifactID: text
//	    1 bit  skip_cache
//	    1 bit  time outside of 1678 to 2262: varint seconds, uvarint ns
//	    1 bit  extra is there and empty
//	    1 bit  always 1: zeros are no blob
//	then the fields in the order of the bits.
//
// A file in the section of chunks, 48 bytes, in the order of the nodes; behind the
// last of them come the digests, in the same order:
//
//	 0  u32 index of the node
//	 4  u8  log2 of the size of a chunk; its number of chunks follows from its size
//	 5  3   0
//	 8  u64 offset of its digests, from the first one
//	16  32  ID, see manifest.Chunks
//
// # How it is built
//
// Entries are sorted by path in the order of components ('/' below all other
// bytes) in runs that fit into half of BuilderOptions.MemoryBytes, spilled, merged
// with a bounded fan-in. One pass over the sorted entries writes the blobs and
// hands each node to the stream of its depth. Directories of one depth are closed
// in the order they were opened, so their counts are one more stream a depth; the
// streams of all depths end to end are the nodes in breadth-first order. Chunk
// digests go to a spool of their own as they come, and are copied from there once
// the nodes have their numbers: no record of the sort holds them. A last
// walk over the mapped result gives the artifact digest, whose order is that of
// whole paths: there directory "a" comes after "a-b" and "a.txt".
package snapshot
