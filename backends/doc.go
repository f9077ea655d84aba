// Package backends is the contract between pinfs and the places where objects
// lie, the mux by URI scheme, and the wrappers around drivers: retry, limits.
// The drivers are in the folders below, one a scheme, thin, and the only
// importers of their SDK; backendtest is the suite that all of them pass.
//
//   - Backend, Digester, Info: the contract.
//   - Mux, Normalize: from a URI to its driver.
//   - Wrap: the stack of wrappers in one visible function. It calls WithRetry,
//     which repeats requests and resumes bodies, and WithLimit, which bounds how
//     many requests are under way.
//   - Retry: the same budget and waits for one request of a driver's own, such
//     as a page of a listing.
//   - Gone, Changed, NoSource …: constructors of the typed errors of drivers.
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
// limited has a semaphore and no mutex. No lock is held while a driver is called.
package backends
