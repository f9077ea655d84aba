// Package storetest is the suite that every registry.Store passes: the contract in
// the comments of registry.Store, with concurrent writers in goroutines and in
// processes of their own.
//
// A driver's tests call Main from TestMain, so that the test binary can be started
// again as a writer, and Run.
package storetest
