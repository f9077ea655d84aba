// Package snapshot keeps a manifest as one file that is mapped into memory and
// never parsed.
package snapshot
