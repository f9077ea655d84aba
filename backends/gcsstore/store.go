package gcsstore

import (
	"context"
	"net/http"

	"google.golang.org/api/option"
	gcs "google.golang.org/api/storage/v1"

	"github.com/pinfs/pinfs/backends"
	"github.com/pinfs/pinfs/manifest"
)

// userAgent: Google compresses answers only for agents that say gzip here too.
const userAgent = "pinfs (gzip)"

// Store is the driver. All methods may be called from many goroutines at once.
type Store struct {
	objects *gcs.ObjectsService
	base    *http.Transport
	keys    *keyring // nil: anonymous
	payer   string   // Options.UserProject
	retry   backends.RetryPolicy
	found   backends.Found[int64]
}

var _ backends.Backend = (*Store)(nil)

func newStore(ctx context.Context, o Options, base string, t *http.Transport, keys *keyring) (*Store, error) {
	client := &http.Client{Transport: &signer{base: t, keys: keys, quota: o.UserProject == ""}, CheckRedirect: stay}
	service, err := gcs.NewService(ctx, option.WithHTTPClient(client), option.WithEndpoint(base))
	if err != nil {
		return nil, &manifest.Error{Kind: manifest.KindInvalid, Op: "open Google Cloud Storage", Err: backends.Brief(err)}
	}
	service.UserAgent = userAgent
	return &Store{objects: service.Objects, base: t, keys: keys, payer: o.UserProject, retry: pagePolicy(o.Retry)}, nil
}

func pagePolicy(p backends.RetryPolicy) backends.RetryPolicy {
	if p.StallTimeout == 0 {
		p.StallTimeout = headerTimeout
	}
	if p.MaxElapsed == 0 {
		p.MaxElapsed = maxPageTime
	}
	return p
}

// Close frees connections.
func (s *Store) Close() error {
	s.base.CloseIdleConnections()
	return nil
}

// send sends one request, and once more with credentials that are read again when
// those it was signed with have expired.
func send[T any](ctx context.Context, s *Store, do func() (T, error)) (T, error) {
	if s.keys == nil {
		return do()
	}
	age := s.keys.generation()
	v, err := do()
	if r, refused := replyOf(err); refused && r.status == http.StatusUnauthorized && ctx.Err() == nil {
		s.keys.drop(age)
		return do()
	}
	return v, err
}

// ask is send for metadata: the whole answer must come within a time limit.
func ask[T any](ctx context.Context, s *Store, do func(context.Context) (T, error)) (T, error) {
	limited, cancel := context.WithTimeout(ctx, s.retry.StallTimeout)
	defer cancel()
	v, err := send(limited, s, func() (T, error) { return do(limited) })
	if err != nil && limited.Err() != nil && ctx.Err() == nil {
		err = errSilent
	}
	return v, err
}

// get asks for the metadata of the object at p. Errors are the client's.
func (s *Store) get(ctx context.Context, p place) (state, error) {
	call := s.objects.Get(p.bucket, p.key).Projection(projection).Fields(objectFields)
	if p.generation != 0 {
		call.Generation(p.generation)
	}
	if s.payer != "" {
		call.UserProject(s.payer)
	}
	o, err := ask(ctx, s, func(ctx context.Context) (*gcs.Object, error) { return call.Context(ctx).Do() })
	if err != nil {
		return state{}, err
	}
	return listedState(o), nil
}
