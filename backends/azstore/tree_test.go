package azstore_test

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/pinfs/pinfs/manifest"

	"github.com/pinfs/pinfs/backends/backendtest"
)

// account is a container as List Blobs shows it: sorted names, in pages, flat or
// by level. refuse, if set, is the answer to what it returns a code for.
type account struct {
	names  []string
	page   int
	refuse func(r *http.Request) (status int, code string)
}

func (a account) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	if a.refuse != nil {
		if status, code := a.refuse(r); status != 0 {
			refuse(w, r, status, code, "x")
			return
		}
	}
	if r.Method == http.MethodHead {
		refuse(w, r, 404, "BlobNotFound", "")
		return
	}
	lines := a.lines(q.Get("prefix"), q.Get("delimiter"))
	from, _ := strconv.Atoi(q.Get("marker"))
	next := ""
	if to := from + a.page; to < len(lines) {
		lines, next = lines[:to], strconv.Itoa(to)
	}
	fmt.Fprint(w, listing(next, lines[from:]...))
}

func (a account) lines(prefix, delimiter string) (lines []string) {
	last := ""
	for _, name := range a.names {
		rest, ok := strings.CutPrefix(name, prefix)
		if !ok {
			continue
		}
		folder, _, deep := strings.Cut(rest, "/")
		switch {
		case delimiter == "" || !deep:
			lines = append(lines, version(name, "v", true))
		case folder != last:
			lines, last = append(lines, "<BlobPrefix><Name>"+prefix+folder+"/</Name></BlobPrefix>"), folder
		}
	}
	return lines
}

func tree() account {
	a := account{page: 50}
	for i := range 600 {
		a.names = append(a.names, fmt.Sprintf("data/%d/%03d", i/200, i%200))
	}
	a.names = append(a.names, "data/z", "data2/x")
	return a
}

func listTree(t *testing.T, a account) *fake {
	t.Helper()
	f := backendtest.NewScripted(t, a.ServeHTTP)
	infos, err := backendtest.List(t.Context(), store(t, f), "azblob://acct/cont/data")
	if err != nil {
		t.Fatal(err)
	}
	got, want := backendtest.Names(infos), []string{}
	for _, name := range a.names {
		if below, ok := strings.CutPrefix(name, "data/"); ok {
			want = append(want, below)
		}
	}
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Errorf("got %d names, want %d", len(got), len(want))
	}
	for _, i := range infos {
		if i.Extra[manifest.ExtraVersion] != "v" {
			t.Fatalf("%+v", i)
		}
	}
	return f
}

// TestTree: large folders are listed by themselves, with versions, each name once.
func TestTree(t *testing.T) {
	f := listTree(t, tree())
	if f.Count("GET", "delimiter") == 0 || f.Count("GET", "prefix=data%2F1%2F") == 0 {
		t.Errorf("not by folders: %q", f.Lines())
	}
	if n := f.Count("GET", "comp=list"); n > 20 {
		t.Errorf("%d requests for 13 pages", n)
	}
}

// TestNoLevels: where versions are not granted by level, all comes flat, with them.
func TestNoLevels(t *testing.T) {
	a := tree()
	a.refuse = func(r *http.Request) (int, string) {
		if q := r.URL.Query(); q.Has("delimiter") && strings.Contains(q.Get("include"), "versions") {
			return 400, "InvalidQueryParameterValue"
		}
		return 0, ""
	}
	f := listTree(t, a)
	if n := f.Count("GET", "delimiter"); n != 1 {
		t.Errorf("asked by level %d times, want once", n)
	}
}

// TestTreeFails: a folder that fails ends the listing, with its reason.
func TestTreeFails(t *testing.T) {
	a := tree()
	a.refuse = func(r *http.Request) (int, string) {
		if q := r.URL.Query(); q.Get("prefix") == "data/1/" || q.Get("marker") == "200" {
			return 403, "AuthorizationPermissionMismatch"
		}
		return 0, ""
	}
	_, err := backendtest.List(t.Context(), store(t, backendtest.NewScripted(t, a.ServeHTTP)), "azblob://acct/cont/data")
	wantError(t, err, manifest.KindDenied, "Storage Blob Data Reader")
}
