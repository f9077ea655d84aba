// Package backends is the contract between pinfs and the places where objects
// lie, the mux by URI scheme, and the wrappers around drivers: retry, limits.
// The drivers are in the folders below, one a scheme, thin, and the only
// importers of their SDK; backendtest is the suite that all of them pass.
//
// Errors of drivers are *manifest.Error with a Kind; E* helpers make them.
package backends
