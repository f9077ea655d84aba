// Package chunks makes and checks the chunk digests of a content: the content is
// cut into pieces of one size, and each has a BLAKE3 digest of 32 bytes. So a
// reader of a few bytes of a large object checks the chunks that hold them and
// needs not read the whole.
//
// # Rules
//
//   - The size of a chunk is a power of two, from MinSize to MaxSize. SizeFor
//     chooses it; whoever reads takes what was recorded.
//   - A content of n bytes has ceil(n/size) chunks, the last one being shorter; an
//     empty one has none, and is recorded as such.
//   - The ID is BLAKE3 of the size (u64, little endian) and the digests, end to
//     end: equal IDs are equal chunks of equal content.
//   - A manifest.Chunks is checked with Valid where it enters (Builder.Add), not
//     at each use.
//
// No other package imports a BLAKE3.
package chunks
