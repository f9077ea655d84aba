package integration_test

import (
	"bytes"
	"crypto/md5"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/pinfs/pinfs/backends"
	"github.com/pinfs/pinfs/backends/azstore"
	"github.com/pinfs/pinfs/integration/servers"
	"github.com/pinfs/pinfs/manifest"
)

// azureWith reads srv with nothing but env.
func azureWith(t *testing.T, srv *servers.Azure, o azstore.Options, env ...string) *azstore.Store {
	t.Helper()
	srv.Setenv(t)
	for _, name := range []string{"AZURE_STORAGE_KEY", "AZURE_STORAGE_CONNECTION_STRING", "AZURE_STORAGE_SAS_TOKEN"} {
		t.Setenv(name, "")
	}
	for _, e := range env {
		name, value, _ := strings.Cut(e, "=")
		t.Setenv(name, value)
	}
	b, err := azstore.New(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.Close() })
	return b
}

func azureURI(srv *servers.Azure, container, blob string) string {
	return "azblob://" + srv.Account + "/" + container + "/" + blob
}

// listAzure gives what is below uri, by name.
func listAzure(t *testing.T, b backends.Backend, uri string) map[string]backends.Info {
	t.Helper()
	infos := map[string]backends.Info{}
	if err := b.List(t.Context(), uri, func(i backends.Info) error { infos[i.Name] = i; return nil }); err != nil {
		t.Fatal(err)
	}
	return infos
}

func readAzure(t *testing.T, b backends.Backend, obj manifest.Object) (string, error) {
	t.Helper()
	body, _, err := b.Open(t.Context(), obj, 0, -1)
	if err != nil {
		return "", err
	}
	defer body.Close()
	data, err := io.ReadAll(body)
	return string(data), err
}

// TestAzureSAS: a SAS token reads and lists, a stale one is refused, and neither
// is in what is said.
func TestAzureSAS(t *testing.T) {
	srv := shared.azure.Get(t)
	srv.CreateContainer(t, "sas", false)
	srv.Put(t, "sas", "dir/a b", []byte("one"))
	b := azureWith(t, srv, azstore.Options{}, "AZURE_STORAGE_SAS_TOKEN="+srv.SAS(t, time.Now().Add(time.Hour)))
	obj := listAzure(t, b, azureURI(srv, "sas", "dir"))["a b"].Entry("a").Object()
	srv.Put(t, "sas", "dir/a b", []byte("two"))
	if got, err := readAzure(t, b, obj); got != "one" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
	stale := srv.SAS(t, time.Now().Add(-time.Hour))
	b = azureWith(t, srv, azstore.Options{}, "AZURE_STORAGE_SAS_TOKEN=?"+stale)
	_, err := readAzure(t, b, obj)
	listErr := b.List(t.Context(), azureURI(srv, "sas", "dir"), func(backends.Info) error { return nil })
	for _, err := range []error{err, listErr} {
		if manifest.KindOf(err) != manifest.KindDenied || strings.Contains(err.Error(), "sig=") || !strings.Contains(err.Error(), "SAS token") {
			t.Errorf("%v", err)
		}
	}
}

// TestAzureAnonymous: public containers need no credentials, others say which.
func TestAzureAnonymous(t *testing.T) {
	srv := shared.azure.Get(t)
	srv.CreateContainer(t, "anyone", true)
	srv.CreateContainer(t, "nobody", false)
	for _, c := range []string{"anyone", "nobody"} {
		srv.Put(t, c, "dir/a", []byte("public"))
	}
	b := azureWith(t, srv, azstore.Options{Anonymous: true})
	obj := listAzure(t, b, azureURI(srv, "anyone", "dir"))["a"].Entry("a").Object()
	if got, err := readAzure(t, b, obj); got != "public" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
	// The gate knows no version of this blob, the server asks who wants to know.
	obj.Ref, obj.Pin = azureURI(srv, "nobody", "dir/a"), manifest.Pin{Kind: manifest.PinETag, Value: obj.Digest}
	if _, err := readAzure(t, b, obj); manifest.KindOf(err) != manifest.KindDenied || !strings.Contains(err.Error(), "AZURE_STORAGE_KEY") {
		t.Errorf("%v", err)
	}
	b = azureWith(t, srv, azstore.Options{}) // and no way to sign in, over plain http
	if _, err := readAzure(t, b, obj); manifest.KindOf(err) != manifest.KindDenied || !strings.Contains(err.Error(), "no credentials") {
		t.Errorf("%v", err)
	}
	b = azureWith(t, srv, azstore.Options{}, "AZURE_STORAGE_KEY=d3Jvbmc=")
	if _, err := readAzure(t, b, obj); manifest.KindOf(err) != manifest.KindDenied || strings.Contains(err.Error(), "d3Jvbmc") {
		t.Errorf("%v", err)
	}
}

// TestAzureSnapshot: where no versions are kept a snapshot pins a blob, by its own
// reference and for who has only the ETag.
func TestAzureSnapshot(t *testing.T) {
	srv := shared.azure.Get(t).WithoutVersions()
	srv.CreateContainer(t, "snapshots", false)
	uri := azureURI(srv, "snapshots", "dir/a?b")
	srv.Put(t, "snapshots", "dir/a?b", []byte("old"))
	b := azureWith(t, srv, azstore.Options{}, "AZURE_STORAGE_KEY="+srv.Key)
	byETag := listAzure(t, b, uri)["a?b"].Entry("a").Object()
	at := srv.Snapshot(t, "snapshots", "dir/a?b")
	srv.Put(t, "snapshots", "dir/a?b", []byte("young"))
	named := listAzure(t, b, uri+"?snapshot="+at)["a?b"]
	if named.Ref != uri+"?snapshot="+at || named.Digest != byETag.Digest || named.Extra[manifest.ExtraVersion] != nil {
		t.Errorf("%+v, want the ETag %s", named, byETag.Digest)
	}
	for _, obj := range []manifest.Object{byETag, named.Entry("a").Object()} {
		if got, err := readAzure(t, b, obj); got != "old" || err != nil {
			t.Errorf("%s: %q, %v", obj.Ref, got, err)
		}
		if info, err := b.Stat(t.Context(), obj); err != nil || info.Size != 3 || info.Ref != obj.Ref {
			t.Errorf("%s: %+v, %v", obj.Ref, info, err)
		}
	}
	srv.Delete(t, "snapshots", "dir/a?b") // its snapshots too
	for _, obj := range []manifest.Object{byETag, named.Entry("a").Object()} {
		if _, err := readAzure(t, b, obj); manifest.KindOf(err) != manifest.KindGone {
			t.Errorf("%s: %v", obj.Ref, err)
		}
	}
}

// TestAzureOlderVersion: an entry that has only an ETag reads an older version,
// with the bytes of no other.
func TestAzureOlderVersion(t *testing.T) {
	srv := shared.azure.Get(t)
	srv.CreateContainer(t, "older", false)
	b := azureWith(t, srv, azstore.Options{}, "AZURE_STORAGE_KEY="+srv.Key)
	old := srv.Put(t, "older", "a", []byte("old"))
	for _, text := range []string{"one", "two", "six"} {
		srv.Put(t, "older", "a", []byte(text))
	}
	srv.Put(t, "older", "aa", []byte("sib"))
	obj := manifest.Entry{Path: "a", Ref: azureURI(srv, "older", "a"), Digest: old.ETag, Size: 3, Extra: map[string]any{"etag": old.ETag}}.Object()
	for range 2 {
		if got, err := readAzure(t, b, obj); got != "old" || err != nil {
			t.Errorf("%q, %v", got, err)
		}
	}
	obj.Pin.Value, obj.Digest = "0x8DFFFFFFFFFFFFF", "0x8DFFFFFFFFFFFFF"
	if _, err := readAzure(t, b, obj); manifest.KindOf(err) != manifest.KindChanged {
		t.Errorf("%v", err)
	}
	// W&B gives the bytes of a version whatever its ETag is.
	obj.Pin = manifest.Pin{Kind: manifest.PinVersion, Value: old.Version}
	if _, err := readAzure(t, b, obj); manifest.KindOf(err) != manifest.KindChanged || !strings.Contains(err.Error(), old.ETag) {
		t.Errorf("%v", err)
	}
}

// TestAzureFoldersAndSums: what stands for a folder is none of the files; an MD5 is
// told for blobs that have one.
func TestAzureFoldersAndSums(t *testing.T) {
	srv := shared.azure.Get(t)
	srv.CreateContainer(t, "folders", false)
	b := azureWith(t, srv, azstore.Options{}, "AZURE_STORAGE_KEY="+srv.Key)
	srv.PutFolder(t, "folders", "data")
	srv.PutFolder(t, "folders", "data/sub")
	srv.Put(t, "folders", "data/sub/one", []byte("one"))
	srv.Put(t, "folders", "data/empty", nil)
	srv.PutBlocks(t, "folders", "data/blocks", []byte("bl"), []byte("ocks"))
	infos := listAzure(t, b, azureURI(srv, "folders", "data"))
	if len(infos) != 3 || infos["sub/one"].Size != 3 || infos["empty"].Size != 0 || infos["blocks"].Size != 6 {
		t.Errorf("%+v", infos)
	}
	want := md5.Sum([]byte("one"))
	if s := infos["sub/one"].Sums; len(s) != 1 || s[0].Alg != manifest.SumMD5 || !bytes.Equal(s[0].Value, want[:]) {
		t.Errorf("sums %v", s)
	}
	if s := infos["blocks"].Sums; len(s) != 0 {
		t.Errorf("sums of blocks %v", s)
	}
	if got, err := readAzure(t, b, infos["blocks"].Entry("b").Object()); got != "blocks" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
	err := b.List(t.Context(), azureURI(srv, "folders", "data/sub/two"), func(backends.Info) error { return nil })
	if manifest.KindOf(err) != manifest.KindNoSource {
		t.Errorf("%v", err)
	}
}

// TestAzureUnknownSize: an entry without a size is read to its end, and past it.
func TestAzureUnknownSize(t *testing.T) {
	srv := shared.azure.Get(t)
	srv.CreateContainer(t, "sizes", false)
	b := azureWith(t, srv, azstore.Options{}, "AZURE_STORAGE_KEY="+srv.Key)
	srv.Put(t, "sizes", "a", []byte("0123456789"))
	srv.Put(t, "sizes", "empty", nil)
	for blob, size := range map[string]int64{"a": 10, "empty": 0} {
		obj := listAzure(t, b, azureURI(srv, "sizes", blob))[blob].Entry("a").Object()
		obj.Size = manifest.SizeUnknown
		for offset, want := range map[int64]int64{0: size, 4: max(0, size-4), 10: 0, 1000: 0} {
			body, info, err := b.Open(t.Context(), obj, offset, -1)
			if err != nil {
				t.Errorf("%s from %d: %v", blob, offset, err)
				continue
			}
			data, err := io.ReadAll(body)
			if int64(len(data)) != want || err != nil || info.Size != size {
				t.Errorf("%s from %d: %q of %d, %v", blob, offset, data, info.Size, err)
			}
			_ = body.Close()
		}
	}
}
