package servers_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"

	"github.com/pinfs/pinfs/integration/servers"
)

// TestGCS: generations stay readable after an overwrite and after a delete.
func TestGCS(t *testing.T) {
	srv := gcs.Get(t)
	place := fresh("generations")
	srv.CreateBucket(t, place, true)
	name := "dir/ä +%41#?b"
	one := srv.Put(t, place, name, []byte("one"))
	two := srv.Put(t, place, name, []byte("two!"))
	if one.Generation == two.Generation || one.ETag == two.ETag || one.MD5 == "" || one.CRC32C == two.CRC32C {
		t.Errorf("written %+v, then %+v", one, two)
	}
	if got := srv.Get(t, place, name, 0); string(got) != "two!" {
		t.Errorf("current: %q", got)
	}
	srv.Delete(t, place, name)
	if got := srv.Get(t, place, name, one.Generation); string(got) != "one" {
		t.Errorf("generation 1 after a delete: %q", got)
	}
	srv.DeleteGeneration(t, place, name, one.Generation)
	for _, generation := range []int64{0, one.Generation} {
		r := request(t, srv.Endpoint+objectPath(place, name)+"?alt=media&generation="+strconv.FormatInt(generation, 10), nil)
		if r.status != http.StatusNotFound && r.status != http.StatusBadRequest {
			t.Errorf("generation %d is gone: %d", generation, r.status)
		}
	}
	if got := srv.Get(t, place, name, two.Generation); string(got) != "two!" {
		t.Errorf("generation 2 after the delete of 1: %q", got)
	}
}

func objectPath(bucket, name string) string {
	return "/storage/v1/b/" + bucket + "/o/" + url.PathEscape(name)
}

// TestGCSPreconditions: reads by JSON and by XML, refused as the cloud refuses
// them; the server itself ignores them all, or the gate would be useless.
func TestGCSPreconditions(t *testing.T) {
	srv := gcs.Get(t)
	place := fresh("preconditions")
	srv.CreateBucket(t, place, true)
	one := srv.Put(t, place, "a/x", []byte("one"))
	two := srv.Put(t, place, "a/x", []byte("two"))
	gen1, gen2 := strconv.FormatInt(one.Generation, 10), strconv.FormatInt(two.Generation, 10)
	xml := "/" + place + "/a/x?"
	json := objectPath(place, "a/x") + "?alt=media&"
	xmlTag := strings.Trim(request(t, srv.Endpoint+xml, nil).header.Get("ETag"), `"`)
	if len(xmlTag) != 32 || xmlTag == two.ETag {
		t.Errorf("ETag in XML %q, in JSON %q", xmlTag, two.ETag)
	}
	for _, c := range []struct {
		path   string
		header http.Header
		want   int
	}{
		{json + "ifGenerationMatch=" + gen2, nil, 200},
		{json + "ifGenerationMatch=" + gen1, nil, 412},
		{json + "generation=" + gen1 + "&ifGenerationMatch=" + gen1, nil, 200},
		{json + "ifMetagenerationMatch=1", nil, 200},
		{json + "ifMetagenerationMatch=2", nil, 412},
		{json + "ifGenerationNotMatch=" + gen2, nil, 304},
		{json + "ifGenerationNotMatch=" + gen1, nil, 200},
		{json + "ifMetagenerationNotMatch=1", nil, 304},
		{json, http.Header{"If-Match": {two.ETag}}, 200},
		{json, http.Header{"If-Match": {one.ETag}}, 412},
		{objectPath(place, "a/x"), http.Header{"If-None-Match": {two.ETag}}, 304},
		{xml, http.Header{"X-Goog-If-Generation-Match": {gen2}, "Range": {"bytes=1-1"}}, 206},
		{xml, http.Header{"X-Goog-If-Generation-Match": {gen1}, "Range": {"bytes=1-1"}}, 412},
		{xml, http.Header{"If-Match": {`"` + xmlTag + `"`}}, 200},
		{xml, http.Header{"If-Match": {two.ETag}}, 412},
		{xml + "generation=junk", nil, 400},
		{xml + "generation=" + gen1 + "1", nil, 404},
		{"/" + place + "/none?", http.Header{"If-Match": {"x"}}, 404},
	} {
		if r := request(t, srv.Endpoint+c.path, c.header); r.status != c.want {
			t.Errorf("%s %v: %d, want %d", c.path, c.header, r.status, c.want)
		}
	}
	if r := request(t, srv.Direct+json+"ifGenerationMatch="+gen1, nil); r.status != 200 {
		t.Errorf("without the gate: %d; it does what the gate is for", r.status)
	}
}

// TestGCSComposite: no MD5 anywhere, and no trace of how that is done.
func TestGCSComposite(t *testing.T) {
	srv := gcs.Get(t)
	place := fresh("composite")
	srv.CreateBucket(t, place, false)
	o := srv.PutAs(t, place, "c", []byte("parts"), servers.GCSPut{Composite: true, Metadata: map[string]string{"k": "v"}})
	if o.MD5 != "" || o.CRC32C == "" {
		t.Errorf("written %+v", o)
	}
	for _, path := range []string{"/" + place + "/c", objectPath(place, "c"), "/storage/v1/b/" + place + "/o", "/storage/v1/b/" + place + "/o?versions=true"} {
		r := request(t, srv.Endpoint+path, nil)
		if all := strings.ToLower(fmt.Sprint(r.header) + r.body); strings.Contains(all, "md5") || strings.Contains(all, "pinfs-composite") ||
			r.status != 200 || !strings.Contains(all, "crc32c") && path != "/"+place+"/c" {
			t.Errorf("%s: %d %v %s", path, r.status, r.header, r.body)
		}
	}
}

// page is a page of a listing.
type page struct {
	Items []struct {
		Name, Generation, Etag string
		Size                   string
	}
	Prefixes      []string
	NextPageToken string
}

// TestGCSListing: pages of objects and of versions, with prefixes once each.
func TestGCSListing(t *testing.T) {
	srv := gcs.Get(t)
	place := fresh("listing")
	srv.CreateBucket(t, place, true)
	for i := range 7 {
		for range 3 {
			srv.Put(t, place, fmt.Sprintf("d%d/x", i), []byte("x"))
			srv.Put(t, place, fmt.Sprintf("f%d", i), []byte("x"))
		}
	}
	for query, want := range map[string]struct{ items, prefixes, pages int }{
		"":                             {14, 0, 1},
		"maxResults=5":                 {14, 0, 3},
		"maxResults=2&versions=true":   {42, 0, 21},
		"maxResults=4&delimiter=/":     {7, 7, 4},
		"prefix=d3/&versions=true":     {3, 0, 1},
		"prefix=none":                  {0, 0, 1},
		"startOffset=f5&maxResults=10": {2, 0, 1},
	} {
		items, prefixes, pages := listAll(t, srv, place, query)
		if items != want.items || prefixes != want.prefixes || pages != want.pages {
			t.Errorf("%q: %d items, %d prefixes, %d pages; want %+v", query, items, prefixes, pages, want)
		}
	}
	r := request(t, srv.Endpoint+"/storage/v1/b/"+place+"/o?fields=nextPageToken,prefixes,items(name,size)", nil)
	var p page
	if err := json.Unmarshal([]byte(r.body), &p); err != nil || len(p.Items) == 0 || p.Items[0].Size != "1" || p.Items[0].Etag+p.Items[0].Generation != "" {
		t.Errorf("two fields: %v %+v", err, p)
	}
	if r := request(t, srv.Endpoint+"/storage/v1/b/none/o", nil); r.status != 404 {
		t.Errorf("no such bucket: %d", r.status)
	}
}

// listAll follows pages and checks that names and generations ascend.
func listAll(t *testing.T, srv *servers.GCS, place, query string) (items, prefixes, pages int) {
	t.Helper()
	last, token := "", ""
	for pages < 100 {
		r := request(t, srv.Endpoint+"/storage/v1/b/"+place+"/o?"+query+"&pageToken="+token, nil)
		var p page
		if err := json.Unmarshal([]byte(r.body), &p); err != nil || r.status != 200 {
			t.Fatalf("%q: %d %s %v", query, r.status, r.body, err)
		}
		pages++
		for _, i := range p.Items {
			if at := i.Name + "\x00" + i.Generation; at <= last {
				t.Errorf("%q: %q after %q", query, at, last)
			} else {
				last = at
			}
		}
		items, prefixes, token = items+len(p.Items), prefixes+len(p.Prefixes), p.NextPageToken
		if token == "" {
			break
		}
	}
	return items, prefixes, pages
}
