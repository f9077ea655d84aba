package azstore

import (
	"context"
	"crypto/x509"
	"errors"
	"net"
	"net/http"

	"github.com/pinfs/pinfs/backends"
	"github.com/pinfs/pinfs/manifest"
)

const (
	hintKeys    = "sign in with az login, a managed identity or AZURE_CLIENT_ID and its like, or give AZURE_STORAGE_ACCOUNT with AZURE_STORAGE_KEY or AZURE_STORAGE_SAS_TOKEN; a public container is read with --az-anonymous"
	hintRole    = "the identity needs the role Storage Blob Data Reader; a SAS token needs the permissions read and list"
	hintRenew   = "renew or correct the key, the SAS token or the sign-in"
	hintClock   = "set this host's clock"
	hintNetwork = "the account's network rules may refuse this host; else " + hintRole
	hintNoKeys  = "the account refuses keys: sign in with az login or a managed identity"
	hintThaw    = "the blob is archived: rehydrate it to an online tier first"
	hintVersion = "start Azurite with --skipApiVersionCheck"
	hintTrust   = "add the authority's certificate to this host's, or name it in SSL_CERT_FILE"
	hintAccount = "check the account's name"
)

var (
	errNoList = errors.New("an answer that is no listing")
)

// failure turns an error of the SDK into a typed one. Missing blobs and failed
// preconditions mean different things to different calls: they sort those first.
func failure(ctx context.Context, op, ref string, err error) error {
	return backends.Sorted(ctx, op, ref, err, sorted)
}

func sorted(op, ref string, err error) error {
	var keys *noKeys
	if errors.As(err, &keys) {
		return withoutKeys(op, ref, keys)
	}
	if r, refused := replyOf(err); refused {
		return refusal(op, ref, r)
	}
	return unanswered(op, ref, err)
}

// refusal sorts what the server refused.
func refusal(op, ref string, r reply) error {
	if r.throttled() {
		return backends.Throttled(op, ref, backends.ParseRetryAfter(r.header), r)
	}
	if hint := r.denied(); hint != "" {
		return backends.Denied(op, ref, hint, r)
	}
	switch {
	case r.status >= 500, r.status == http.StatusRequestTimeout, r.status == http.StatusNotModified:
		return backends.Unreachable(op, ref, r)
	case r.status == http.StatusNotFound:
		return backends.NoSource(op, ref, r.Error())
	}
	e := &manifest.Error{Kind: manifest.KindInvalid, Op: op, Ref: ref, Err: r}
	if r.oldEmulator() {
		e.Hint = hintVersion
	}
	return e
}

// denied gives what to do about a refusal of access, "" when it is none.
func (r reply) denied() string {
	switch {
	case r.code == "BlobArchived", r.code == "BlobBeingRehydrated":
		return hintThaw
	case r.code == "KeyBasedAuthenticationNotPermitted":
		return hintNoKeys
	case r.code == "PublicAccessNotPermitted", r.anonymous && (r.status == http.StatusUnauthorized || r.status == http.StatusForbidden),
		r.hidden():
		return hintKeys
	case r.code == "AuthorizationFailure":
		return hintNetwork
	case r.unproven() && r.skewed():
		return hintClock
	case r.unproven():
		return hintRenew
	case r.status == http.StatusForbidden:
		return hintRole
	}
	return ""
}

// unanswered sorts errors of the way to the server and back, and of answers that
// nobody understands.
func unanswered(op, ref string, err error) error {
	var authority x509.UnknownAuthorityError
	var dns *net.DNSError
	e := &manifest.Error{Kind: manifest.KindUnreachable, Op: op, Ref: ref, Err: backends.Brief(err)}
	switch {
	case errors.As(err, &authority):
		e.Hint = hintTrust
	case errors.As(err, &dns) && dns.IsNotFound:
		e.Hint = hintAccount
	}
	return e
}
