package registry

import (
	"context"
	"iter"

	"github.com/pinfs/pinfs/manifest"
)

// MaxRecord is the size of the largest record that a Store takes, in bytes: a
// version's metadata and description at their limits, with room to spare.
const MaxRecord = 4 << 20

// Tag is what a Store tells of a record's content, to make a later write
// conditional on it: an ETag, a generation, a hash. Opaque, never empty.
type Tag string

// Store keeps the records and files of a registry. A directory and the object
// stores can all do what it asks: conditional writes of small records, and big
// files that never change.
//
// Keys are '/'-separated, relative, without empty, "." or ".." components; the
// components may hold any other character. A folder is there when a key below it
// is. All methods may be called from many goroutines and processes at once, honour
// ctx and return *manifest.Error: KindNotFound for a key that is not there,
// KindConflict for a condition that does not hold, KindDenied without permission
// (a store that is mounted read-only too), KindInvalid for a key that the store
// can't hold. What was written is durable when the call returns, is seen by every
// later Get and List of every process, and is seen whole or not at all.
type Store interface {
	// Get reads the record at key and the tag of what it read.
	Get(ctx context.Context, key string) (data []byte, tag Tag, err error)

	// PutIfAbsent creates the record at key. KindConflict when there is one:
	// of any number of concurrent calls exactly one succeeds.
	PutIfAbsent(ctx context.Context, key string, data []byte) error

	// PutIfUnchanged replaces the record at key if its tag is still tag;
	// KindConflict when it is another or the record is gone. A store may take
	// a record that was changed and changed back for unchanged.
	PutIfUnchanged(ctx context.Context, key string, data []byte, tag Tag) error

	// List gives the names directly below the folder prefix ("" or ending in
	// "/"), in no promised order: of records and files as they are, of folders
	// with a "/" at the end. It streams; a prefix with nothing below it gives
	// nothing. An error is the last thing it gives.
	List(ctx context.Context, prefix string) iter.Seq2[string, error]

	// Delete removes the record or file at key; one that is not there is no error.
	Delete(ctx context.Context, key string) error

	// PutFile stores the local file at key, which names its content (a hash):
	// a file that is there already is left as it is. The store may link, move or
	// copy the local file, which nobody may change from then on; removing what
	// is left of it is the caller's. Moving is possible for files in a folder
	// that MakeTemp gave.
	PutFile(ctx context.Context, key, local string) error

	// Fetch gives the path of a local file with the content that PutFile stored
	// at key, for mapping. The path stays valid until the store is closed; the
	// file is not to be changed.
	Fetch(ctx context.Context, key string) (local string, err error)

	// MakeTemp makes a private local folder for building files that PutFile is
	// to store. remove deletes it with all that is in it; after a crash a later
	// writer does.
	MakeTemp(ctx context.Context) (dir string, remove func(), err error)

	// Close frees what the store holds. No call may follow.
	Close() error
}

// conflict is the error of a condition that does not hold.
func conflict(op, key string) error {
	return &manifest.Error{Kind: manifest.KindConflict, Op: op, Ref: key}
}

// notFound is the error of a key that is not there.
func notFound(op, key string) error {
	return &manifest.Error{Kind: manifest.KindNotFound, Op: op, Ref: key, Msg: "not in the registry"}
}

// isKind tells whether err is an error of that kind; nil is none.
func isKind(err error, kind manifest.Kind) bool {
	return err != nil && manifest.KindOf(err) == kind
}
