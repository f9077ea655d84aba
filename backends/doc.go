// Package backends is the contract between pinfs and the places where objects
// lie, the mux by source, and the wrappers around drivers: retry, limits.
// The drivers are in the folders below, one a source, thin, and the only
// importers of their SDK; backendtest is the suite that all of them pass.
//
//   - Backend, Digester, Info: the contract.
//   - Mux, Normalize: from a URI to its driver.
//   - Wrap: the stack of wrappers in one visible function. The retry (retry.go)
//     repeats requests and resumes bodies; the limit (limit.go) bounds how many
//     calls are under way, and adapts to what the source bears (adaptive.go);
//     the hedge (hedge.go) asks again for what is late.
//     Stats tells how they do. tokens.go has what all calls of a source share.
//   - Rules: what versions may point to (policyrules.go): prefixes that are allowed,
//     places of this host (policyfiles.go), addresses (policyaddr.go). Guard puts them
//     in front of a mux; filestore asks them where a path has led, httpstore and
//     s3store at each redirect and connection.
//   - Retry: the same budget and waits for one request of a driver's own, such
//     as a page of a listing.
//   - Gone, Changed, NoSource …: constructors of the typed errors of drivers.
//
// What drivers of sources behind HTTP have in common:
//
//   - Tree: lists a prefix, its large folders at once. A driver gives the function
//     that sends one request.
//   - ListCalls, NameBelow: the requests of a listing, and what it calls an object.
//   - Found, Elsewhere, Undecided: pins that are no longer at their object's current
//     version. Sorted: the order in which the causes of an error count.
//   - Span, ParseSent, Span.Check: the Range header, and whether the answer holds
//     what was asked for. NewBody: a body that is all there or an error.
//   - ParseRetryAfter, for Throttled. Brief, OneLine: what others say, in one line
//     without secrets.
//
// # Rules for drivers
//
// Errors are *manifest.Error with a Kind; the constructors of errors.go make
// them. A driver does not retry by itself and has no wait without its context:
// it reports KindUnreachable or KindThrottled once and leaves the rest to Retry.
// A stream's Read ends soon after the context of its Open does. A stream is used
// by one goroutine at a time; everything else by any number.
//
// # Locks
//
// The mutexes of gate, tokens and outage are leaves. No lock is held while a driver
// is called.
package backends
