// Package memstore is the driver of mem://bucket/key: objects in memory, for
// tests. It behaves as an S3 bucket does: ETags are the hex MD5, listings go by
// prefix, folder markers are no files, buckets keep versions or do not. A bucket
// is there once something was put into it.
//
//   - Store: the backend, with Put, Delete and DeleteVersion for the other side.
//   - Hook, Fault: what a test makes go wrong, request by request; First, Only
//     and the bodies Cut, Stall, Flip, Trickle build the usual ones.
//   - Counts: how many requests were made and bytes were read.
//
// # Pins
//
// A version id names its version. An ETag names the current version if it is
// that, else the newest older one with that ETag, as W&B looks for them.
//
// # Locks
//
// Store.mu guards all fields of Store and is never held while a Hook runs or a
// body is read. Bodies are slices that are never written again.
package memstore
