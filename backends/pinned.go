package backends

import (
	"context"
	"errors"
	"sync"

	"github.com/pinfs/pinfs/manifest"
)

// maxFound bounds what a Found remembers; past it all is forgotten.
const maxFound = 4096

// Found remembers where pins were found that are not at their objects' current
// versions, so that each range of a file is not a search. V is what a driver calls
// such a place. The zero value is empty; all methods may be called from many
// goroutines.
type Found[V any] struct {
	mu sync.Mutex
	at map[[2]string]V // guarded by mu: (ref, pin) to place
}

// Get gives the place of a pin; false when it is not known.
func (f *Found[V]) Get(ref, pin string) (V, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	at, ok := f.at[[2]string{ref, pin}]
	return at, ok
}

// Put remembers the place of a pin.
func (f *Found[V]) Put(ref, pin string, at V) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.at == nil || len(f.at) >= maxFound {
		f.at = map[[2]string]V{}
	}
	f.at[[2]string{ref, pin}] = at
}

// Elsewhere calls try at a place, and once more where older says that the pin is
// when it is not there any more: KindGone, KindChanged. older gives at itself when
// it finds nothing; its error means that nobody knows.
func Elsewhere[P comparable, T any](at P, try func(P) (T, error), older func() (P, error)) (T, error) {
	v, err := try(at)
	if kind := manifest.KindOf(err); err == nil || kind != manifest.KindGone && kind != manifest.KindChanged {
		return v, err
	}
	found, searchErr := older()
	switch {
	case searchErr != nil:
		return v, searchErr
	case found == at:
		return v, err
	}
	return try(found)
}

// Undecided is err of a search for a pin, nil for a refusal that will not change:
// then the search has simply found nothing.
func Undecided(err error) error {
	switch manifest.KindOf(err) {
	case manifest.KindUnreachable, manifest.KindThrottled, manifest.KindTimeout, manifest.KindCanceled:
		return err
	}
	return nil
}

// Sorted gives the typed error of a failed request: that of a ctx that is done,
// err itself when it is typed already, what the rules have refused, else what sort
// makes of it, which knows the errors of one client. nil stays nil.
func Sorted(ctx context.Context, op, ref string, err error, sort func(op, ref string, err error) error) error {
	var typed *manifest.Error
	var refused *Refusal
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return Ended(ctx, op, ref)
	case errors.As(err, &typed):
		return err
	case errors.As(err, &refused):
		return refused.At(op, ref)
	}
	return sort(op, ref, err)
}
