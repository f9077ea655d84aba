package gcsstore

import (
	"cmp"
	"context"
	"net/http"
	"sync"
	"time"

	"cloud.google.com/go/auth"

	"github.com/pinfs/pinfs/backends"
	"github.com/pinfs/pinfs/manifest"
)

const (
	// scope is all that reading needs.
	scope = "https://www.googleapis.com/auth/devstorage.read_only"
	// tokenTimeout bounds one request for a token.
	tokenTimeout = 20 * time.Second
	// poorFor is how long it is believed that there are no credentials, so that
	// not each request looks for them again.
	poorFor = 10 * time.Second
)

// key is what a request is signed with.
type key struct {
	token   *auth.Token
	project string // that pays for the quota; "" when the credentials name none
}

func (k *key) authorization() string {
	return cmp.Or(k.token.Type, "Bearer") + " " + k.token.Value
}

// keyring finds credentials when they are first needed, and gives tokens for them
// until they expire. Renewing reads them again, so that a long-running process
// sees what a login wrote meanwhile.
type keyring struct {
	file string       // Options.CredentialsFile
	http *http.Client // asks for tokens

	slot chan struct{} // who has put one in may look and ask; not while mu is held

	mu     sync.Mutex // guards all below
	now    *auth.Credentials
	key    *key
	age    uint64    // how often the credentials were dropped
	had    bool      // there was a token before
	poor   error     // why there are none
	poorAt time.Time // when that was found
}

func newKeyring(file string, t http.RoundTripper) (*keyring, error) {
	k := &keyring{file: file, http: &http.Client{Transport: t, Timeout: tokenTimeout, CheckRedirect: stay}, slot: make(chan struct{}, 1)}
	if file == "" {
		return k, nil
	}
	if _, err := k.fromFile(file); err != nil {
		return nil, &manifest.Error{Kind: manifest.KindInvalid, Op: "read credentials", Ref: file, Err: backends.Brief(err),
			Hint: "name a file that Google made: a service account's key, or credentials of gcloud"}
	}
	return k, nil
}

// get gives the key of now. One caller at a time asks for a new one; the others
// wait, as long as their context lets them.
func (k *keyring) get(ctx context.Context) (*key, error) {
	if held, err := k.held(); held != nil || err != nil {
		return held, err
	}
	select {
	case k.slot <- struct{}{}:
		defer func() { <-k.slot }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if held, err := k.held(); held != nil || err != nil {
		return held, err
	}
	return k.fetch(ctx)
}

// held gives what needs no request: a valid key, or the news that there is none.
func (k *keyring) held() (*key, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	switch {
	case k.key != nil && k.key.token.IsValid():
		return k.key, nil
	case k.poor != nil && time.Since(k.poorAt) < poorFor:
		return nil, k.poor
	}
	return nil, nil
}

// fetch asks for a token; the caller has the slot.
func (k *keyring) fetch(ctx context.Context) (*key, error) {
	limited, cancel := context.WithTimeout(ctx, tokenTimeout)
	defer cancel()
	fresh, creds, err := k.ask(limited)
	if err != nil && ctx.Err() != nil {
		return nil, ctx.Err()
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if err != nil {
		err := sortKeyError(err, k.had)
		if err.kind == manifest.KindDenied {
			k.poor, k.poorAt = err, time.Now()
		}
		k.now = nil // read it again next time
		return nil, err
	}
	k.now, k.key, k.had, k.poor = creds, fresh, true, nil
	return fresh, nil
}

func (k *keyring) ask(ctx context.Context) (*key, *auth.Credentials, error) {
	k.mu.Lock()
	creds := k.now
	k.mu.Unlock()
	if creds == nil {
		var err error
		if creds, err = k.find(); err != nil {
			return nil, nil, err
		}
	}
	token, err := creds.Token(ctx)
	if err != nil {
		return nil, nil, err
	}
	project, err := creds.QuotaProjectID(ctx) // from the file; no request
	return &key{token: token, project: project}, creds, err
}

func (k *keyring) generation() uint64 {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.age
}

// drop forgets the credentials of generation age, which were refused. Of many who
// find that out the first does it, for all.
func (k *keyring) drop(age uint64) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.age == age {
		k.now, k.key, k.poor = nil, nil, nil
		k.age++
	}
}
