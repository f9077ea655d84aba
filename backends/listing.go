package backends

import (
	"context"
	"errors"
	"strings"
)

// errSilent is a request of a listing that took too long.
var errSilent = errors.New("no answer in time")

// ListCalls sends the requests of one listing.
type ListCalls struct {
	URI   string
	Retry RetryPolicy
	// Sort makes a typed error of that of a request.
	Sort func(ctx context.Context, err error) error
}

// Once sends one of the first requests, which the wrapper repeats: nothing has
// been given yet. It ends after Retry.StallTimeout.
func (l *ListCalls) Once(ctx context.Context, fn func(context.Context) error) error {
	limited, cancel := context.WithTimeout(ctx, l.Retry.StallTimeout)
	defer cancel()
	err := fn(limited)
	if err != nil && limited.Err() != nil && ctx.Err() == nil {
		return Unreachable("list", l.URI, errSilent)
	}
	return l.Sort(ctx, err)
}

// Again sends a request within a retry budget of its own, since the wrapper can
// repeat only the whole listing.
func (l *ListCalls) Again(ctx context.Context, fn func(context.Context) error) error {
	return Retry(ctx, l.Retry, "list", l.URI, func(ctx context.Context) error { return l.Sort(ctx, fn(ctx)) })
}

// NameBelow gives the name of the object with that key below a prefix; what says
// what the source calls a key. KindInvalid for one that no file can have.
func NameBelow(prefix, key, ref, what string) (string, error) {
	name := strings.TrimPrefix(key, prefix)
	if name == "" {
		return "", Invalid("list", ref, "it holds data, but its "+what+" ends in '/', which no file name can", "name what is below it one by one")
	}
	return name, nil
}
