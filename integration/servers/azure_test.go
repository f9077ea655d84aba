package servers_test

import (
	"net/http"
	"strings"
	"testing"
	"time"
)

// TestAzureVersions: the gate's account keeps versions as the cloud's does.
func TestAzureVersions(t *testing.T) {
	srv := azure.Get(t)
	place := fresh("versions")
	srv.CreateContainer(t, place, true)
	name := "dir/ä +%41#?b"
	one := srv.Put(t, place, name, []byte("one"))
	two := srv.Put(t, place, name, []byte("two"))
	if one.Version == "" || one.Version == two.Version || one.ETag == two.ETag || one.MD5 == "" {
		t.Fatalf("written %+v, then %+v", one, two)
	}
	for query, want := range map[string]string{"": "two", "versionid=" + one.Version: "one", "versionid=" + two.Version: "two"} {
		if got := srv.Get(t, place, name, query); string(got) != want {
			t.Errorf("%q: %q, want %q", query, got, want)
		}
	}
	base := srv.Endpoint + "/" + place + "/dir/%C3%A4%20+%2541%23%3Fb"
	for _, c := range []struct {
		query           string
		header          http.Header
		status          int
		version, is, ec string
	}{
		{"", nil, 200, two.Version, "true", ""},
		{"?versionid=" + two.Version, nil, 200, two.Version, "true", ""},
		{"?versionid=" + one.Version, nil, 200, one.Version, "", ""},
		{"?versionid=" + one.Version, http.Header{"If-Match": {`"` + one.ETag + `"`}}, 200, one.Version, "", ""},
		{"?versionid=" + one.Version, http.Header{"If-Match": {`"` + two.ETag + `"`}}, 412, "", "", "ConditionNotMet"},
		{"?versionid=" + one.Version, http.Header{"Range": {"bytes=1-1"}}, 206, one.Version, "", ""},
		{"?versionid=2020-01-01T00:00:00.0000000Z", nil, 404, "", "", "BlobNotFound"},
		{"?versionid=junk", nil, 400, "", "", "InvalidQueryParameterValue"},
	} {
		r := request(t, base+c.query, c.header)
		got := [3]string{r.header.Get("X-Ms-Version-Id"), r.header.Get("X-Ms-Is-Current-Version"), r.header.Get("X-Ms-Error-Code")}
		if want := [3]string{c.version, c.is, c.ec}; r.status != c.status || got != want {
			t.Errorf("%s %v: %d %q, want %d %q", c.query, c.header, r.status, got, c.status, want)
		}
	}
	srv.Delete(t, place, name)
	if r := request(t, base, nil); r.status != 404 {
		t.Errorf("deleted: %d", r.status)
	}
	if got := srv.Get(t, place, name, "versionid="+two.Version); string(got) != "two" {
		t.Errorf("version 2 after a delete: %q", got)
	}
	srv.DeleteVersion(t, place, name, one.Version)
	if r := request(t, base+"?versionid="+one.Version, nil); r.status != 404 {
		t.Errorf("deleted version: %d", r.status)
	}
	if again := srv.Put(t, place, name, []byte("three")); again.Version == "" {
		t.Errorf("written after a delete: %+v", again)
	}
	if r := request(t, base, nil); r.body != "three" {
		t.Errorf("written after a delete: %q", r.body)
	}
}

// TestAzureListing: versions, snapshots and what is current are told apart.
func TestAzureListing(t *testing.T) {
	srv := azure.Get(t)
	place := fresh("listing")
	srv.CreateContainer(t, place, true)
	one := srv.Put(t, place, "a&b", []byte("one"))
	two := srv.Put(t, place, "a&b", []byte("two"))
	three := srv.PutBlocks(t, place, "blocks", []byte("th"), []byte("ree"))
	srv.PutFolder(t, place, "folder")
	srv.Put(t, place, "gone", nil)
	snapshot := srv.Snapshot(t, place, "a&b")
	srv.Delete(t, place, "gone")
	list := func(include string) string {
		return request(t, srv.Endpoint+"/"+place+"?restype=container&comp=list&include="+include, nil).body
	}
	if s := list("metadata"); strings.Count(s, "<Blob>") != 3 || strings.Contains(s, "<Snapshot>") || !strings.Contains(s, "<hdi_isfolder>true") {
		t.Errorf("current: %s", s)
	}
	s := list("versions")
	if strings.Count(s, "<Blob>") != 5 || strings.Count(s, "<IsCurrentVersion>true") != 3 || strings.Contains(s, snapshot) {
		t.Errorf("versions: %s", s)
	}
	for _, v := range []string{one.Version, two.Version, three.Version} {
		if !strings.Contains(s, "<VersionId>"+v+"</VersionId>") {
			t.Errorf("version %s is not listed: %s", v, s)
		}
	}
	if s := list("snapshots"); strings.Count(s, "<Blob>") != 4 || !strings.Contains(s, snapshot) {
		t.Errorf("snapshots: %s", s)
	}
	if three.MD5 != "" || strings.Count(s, "<Content-MD5>") != 4 {
		t.Errorf("a blob of blocks has an MD5: %+v %s", three, s)
	}
}

// TestAzureAuth: the gate lets nobody in whom Azurite would not.
func TestAzureAuth(t *testing.T) {
	srv := azure.Get(t)
	place := fresh("auth")
	srv.CreateContainer(t, place, false)
	one := srv.Put(t, place, "a", []byte("one"))
	srv.Put(t, place, "a", []byte("two"))
	wrong := *srv
	wrong.Key = "d3Jvbmc="
	good, bad, old := srv.SAS(t, time.Now().Add(time.Hour)), wrong.SAS(t, time.Now().Add(time.Hour)), srv.SAS(t, time.Now().Add(-time.Hour))
	for _, path := range []string{"/" + place + "/a?", "/" + place + "/a?versionid=" + one.Version + "&", "/" + place + "?restype=container&comp=list&include=versions&"} {
		for token, want := range map[string]int{good: 200, bad: 403, old: 403, "": 403} {
			if r := request(t, srv.Endpoint+path+token, nil); r.status != want {
				t.Errorf("%s%s: %d, want %d", path, token, r.status, want)
			}
		}
		h := http.Header{"Authorization": {"SharedKey " + srv.Account + ":d3Jvbmc="}, "X-Ms-Date": {time.Now().UTC().Format(http.TimeFormat)}}
		if r := request(t, srv.Endpoint+strings.TrimRight(path, "&?"), h); r.status != 403 {
			t.Errorf("%s with a wrong signature: %d", path, r.status)
		}
	}
}

// TestAzureWithoutVersions: the server itself knows snapshots and no versions.
func TestAzureWithoutVersions(t *testing.T) {
	srv := azure.Get(t).WithoutVersions()
	place := fresh("withoutversions")
	srv.CreateContainer(t, place, true)
	one := srv.Put(t, place, "a", []byte("one"))
	snapshot := srv.Snapshot(t, place, "a")
	two := srv.Put(t, place, "a", []byte("two"))
	if one.Version != "" || one.ETag == two.ETag {
		t.Errorf("written %+v, then %+v", one, two)
	}
	if got := srv.Get(t, place, "a", "snapshot="+snapshot); string(got) != "one" {
		t.Errorf("snapshot: %q", got)
	}
	if r := request(t, srv.Endpoint+"/"+place+"/a", http.Header{"If-Match": {`"` + one.ETag + `"`}}); r.status != 412 {
		t.Errorf("old ETag: %d", r.status)
	}
	srv.Delete(t, place, "a")
	if r := request(t, srv.Endpoint+"/"+place+"/a?snapshot="+snapshot, nil); r.status != 404 {
		t.Errorf("snapshot after a delete: %d", r.status)
	}
}
