package gcsgate

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// maxPage is how many entries a page has at most.
const maxPage = 1000

// listing is what the server answers; items and prefixes are in one order of names.
type listing struct {
	Items    []fields `json:"items"`
	Prefixes []string `json:"prefixes"`
}

// entry is one line of a listing: an object, or a prefix.
type entry struct {
	name       string
	generation int64
	item       fields // nil for a prefix
}

func isListing(u *url.URL) bool {
	rest, ok := strings.CutPrefix(u.EscapedPath(), "/storage/v1/b/")
	_, after, found := strings.Cut(rest, "/o")
	return ok && found && (after == "" || after == "/")
}

// list answers with one page. The server is asked for everything each time: its
// own pages repeat prefixes, and with versions they never end.
func (g *Gate) list(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	entries, err := g.entries(r.Context(), r.URL, q)
	if failed := (*statusError)(nil); errors.As(err, &failed) {
		w.Header().Set("Content-Type", "application/json; charset=UTF-8")
		w.WriteHeader(failed.status)
		_, _ = w.Write(failed.body)
		return
	} else if err != nil {
		panic(http.ErrAbortHandler) // the server is gone: so is the gate's answer
	}
	size, err := strconv.Atoi(q.Get("maxResults"))
	if err != nil || size <= 0 || size > maxPage {
		size = maxPage
	}
	first, err := strconv.Atoi(cmp.Or(q.Get("pageToken"), "0"))
	if err != nil || first < 0 || first > len(entries) {
		http.Error(w, `{"error":{"code":400,"message":"Invalid value for pageToken"}}`, http.StatusBadRequest)
		return
	}
	end := min(first+size, len(entries))
	doc := page(entries[first:end], q.Get("fields"))
	if end < len(entries) {
		doc["nextPageToken"] = mustJSON(strconv.Itoa(end))
	}
	w.Header().Set("Content-Type", "application/json; charset=UTF-8")
	_, _ = w.Write(mustJSON(doc))
}

// entries gives all of a listing.
func (g *Gate) entries(ctx context.Context, u *url.URL, q url.Values) ([]entry, error) {
	ask := url.Values{}
	for name, values := range q {
		if name != "maxResults" && name != "pageToken" && name != "fields" {
			ask[name] = values
		}
	}
	body, err := g.get(ctx, g.upstream.String()+u.EscapedPath()+"?"+ask.Encode())
	if err != nil {
		return nil, err
	}
	var all listing
	if err := json.Unmarshal(body, &all); err != nil {
		return nil, err
	}
	entries := make([]entry, 0, len(all.Items)+len(all.Prefixes))
	for _, item := range all.Items {
		item.amend()
		generation, _ := strconv.ParseInt(item.text("generation"), 10, 64) // the server's own
		entries = append(entries, entry{name: item.text("name"), generation: generation, item: item})
	}
	for _, p := range all.Prefixes {
		entries = append(entries, entry{name: p})
	}
	slices.SortStableFunc(entries, func(a, b entry) int {
		return cmp.Or(strings.Compare(a.name, b.name), cmp.Compare(a.generation, b.generation))
	})
	return entries, nil
}

// page is the answer with these entries and the fields that were asked for.
func page(entries []entry, wanted string) fields {
	doc := fields{"kind": mustJSON("storage#objects")}
	only := itemFields(wanted)
	var items []fields
	var prefixes []string
	for _, e := range entries {
		if e.item == nil {
			prefixes = append(prefixes, e.name)
			continue
		}
		if only != nil {
			for name := range e.item {
				if !slices.Contains(only, name) {
					delete(e.item, name)
				}
			}
		}
		items = append(items, e.item)
	}
	if items != nil {
		doc["items"] = mustJSON(items)
	}
	if prefixes != nil {
		doc["prefixes"] = mustJSON(prefixes)
	}
	return doc
}

// itemFields gives the names in items(…) of the parameter fields; nil means all.
func itemFields(wanted string) []string {
	m := regexp.MustCompile(`items\(([^)]*)\)`).FindStringSubmatch(wanted)
	if m == nil {
		return nil
	}
	return strings.Split(m[1], ",")
}
