package backendtest

import (
	"crypto/md5"
	"encoding/hex"
	"testing"

	"github.com/pinfs/pinfs/backends"
	"github.com/pinfs/pinfs/manifest"
)

// Fixture is what a driver brings to the suite.
type Fixture struct {
	// New makes an empty source for one case. Its clean-up is t's.
	New func(t *testing.T) Source
	// Features are what the source can do.
	Features Features
	// NotApplicable names the cases that this source can't have, each with the
	// reason.
	NotApplicable map[string]string
	// NoFaults is why this source has no Faults ("no network"); the cases about
	// faults are then left out.
	NoFaults string
}

// Source is a place with objects, seen from both sides.
type Source struct {
	// Backend reads the source. The suite closes it; New makes one for each case.
	Backend backends.Backend
	// Root is the URI below which keys are put: no trailing slash, and more than
	// a bucket, so that siblings of it may be made.
	Root string
	// Missing is a URI in a bucket or directory that does not exist.
	Missing string
	// Put makes or overwrites the object at Root + "/" + key, at once in the
	// sense of the source: later requests see the new one. It is called from
	// several goroutines. A key that ends in "/" with no data is a folder marker.
	Put func(key string, data []byte) error
	// Delete deletes the current version as a person would: with a delete marker
	// where versions are kept.
	Delete func(key string) error
	// DeleteVersion deletes the pinned version for good; only for Versioned.
	DeleteVersion func(obj manifest.Object) error
	// Faults makes answers to Backend go wrong. nil: Fixture.NoFaults says why.
	Faults Faults
	// Quiet, if set, ends the idle connections that proxies and gates in front of
	// the server keep to it in this process, so that their goroutines end.
	Quiet func()
}

// Features say what a source can do.
type Features struct {
	// Versioned: an overwritten or deleted version stays readable at its pin.
	Versioned bool
	// ContentPinned: the pin is the content (PinMD5). Stat sees every change,
	// Open only one of the size.
	ContentPinned bool
	// Digest gives the digest that W&B records for an object put in one piece.
	Digest func(data []byte) string
	// Extra are the keys of W&B's "extra" that are recorded, sorted.
	Extra []string
	// VersionMark is what stands between a URI and a version id when a person
	// names an old version: "?versionId=", "#". Empty: they can't.
	VersionMark string
	// ModTime: the source tells when an object was last modified.
	ModTime bool
}

// HexMD5 is the digest of sources whose ETag is the MD5 of an object put in one
// piece: for Features.Digest.
func HexMD5(data []byte) string {
	sum := md5.Sum(data)
	return hex.EncodeToString(sum[:])
}
