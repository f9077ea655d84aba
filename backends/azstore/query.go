package azstore

import (
	"context"
	"net/http"
	"net/url"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
)

// chosen is the key of a context's version or snapshot, which is a place.
type chosen struct{}

// choose makes requests under ctx be for p's version or snapshot.
func choose(ctx context.Context, p place) context.Context {
	if p.version == "" && p.snapshot == "" {
		return ctx
	}
	return context.WithValue(ctx, chosen{}, p)
}

// query completes the URL of a request before it is signed: with the version that
// choose chose, which the SDK's WithVersionID would paste in as it is, and with
// the SAS token, which so is in no client's URL and in no text made from one.
type query struct{ sas string }

// Do adds and sends.
func (q query) Do(req *policy.Request) (*http.Response, error) {
	u := req.Raw().URL
	if p, ok := req.Raw().Context().Value(chosen{}).(place); ok {
		if p.version != "" {
			u.RawQuery = and(u.RawQuery, "versionid="+url.QueryEscape(p.version))
		}
		if p.snapshot != "" {
			u.RawQuery = and(u.RawQuery, "snapshot="+url.QueryEscape(p.snapshot))
		}
	}
	if q.sas != "" {
		u.RawQuery = and(u.RawQuery, q.sas)
	}
	return req.Next()
}

func and(query, more string) string {
	if query == "" {
		return more
	}
	return query + "&" + more
}
