package blobstore

import (
	"context"
	"slices"
	"sync"

	"github.com/pinfs/pinfs/manifest"
)

// Finder gives the path of a local file with the content that has that SHA-256, in
// lower-case hex; KindNotFound where it is not kept.
type Finder func(ctx context.Context, sha256 string) (local string, err error)

// Finders are the places to look into; the zero value has none. All methods may be
// called from many goroutines.
type Finders struct {
	mu    sync.Mutex // guards place
	place []*Finder
}

// Add adds a place, until remove is called.
func (f *Finders) Add(find func(ctx context.Context, sha256 string) (local string, err error)) (remove func()) {
	added := Finder(find)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.place = append(f.place, &added)
	return func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.place = slices.DeleteFunc(f.place, func(one *Finder) bool { return one == &added })
	}
}

// Find asks one place after the other. The error is KindNotFound, or that of a
// place which could not say.
func (f *Finders) Find(ctx context.Context, sha256 string) (string, error) {
	f.mu.Lock()
	places := slices.Clone(f.place)
	f.mu.Unlock()
	var failed error
	for _, find := range places {
		local, err := (*find)(ctx, sha256)
		if err == nil {
			return local, nil
		}
		if failed == nil && manifest.KindOf(err) != manifest.KindNotFound {
			failed = err
		}
	}
	if failed == nil {
		failed = &manifest.Error{Kind: manifest.KindNotFound, Op: "find copy", Ref: name(sha256), Msg: "no registry in use has it"}
	}
	return "", failed
}

// name is how messages call a copy.
func name(sha256 string) string { return "blob sha256:" + sha256 }
