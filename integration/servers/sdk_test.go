package servers_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"cloud.google.com/go/storage"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/to"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/blob"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/bloberror"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/container"
	"google.golang.org/api/googleapi"
	"google.golang.org/api/iterator"
)

// TestAzureSDK: Microsoft's own client sees the versions of the gate.
func TestAzureSDK(t *testing.T) {
	srv := azure.Get(t)
	place := fresh("sdk")
	srv.CreateContainer(t, place, false)
	client, err := azblob.NewClientFromConnectionString(srv.ConnectionString(), nil)
	if err != nil {
		t.Fatal(err)
	}
	c := client.ServiceClient().NewContainerClient(place)
	one := srv.Put(t, place, "dir/a b", []byte("one"))
	up, err := client.UploadBuffer(t.Context(), place, "dir/a b", []byte("two"), nil)
	if err != nil || up.VersionID == nil || *up.VersionID == one.Version {
		t.Fatalf("upload: %v, %+v", err, up)
	}
	old, err := c.NewBlobClient("dir/a b").WithVersionID(one.Version)
	if err != nil {
		t.Fatal(err)
	}
	got, err := old.DownloadStream(t.Context(), &blob.DownloadStreamOptions{Range: blob.HTTPRange{Offset: 1, Count: 2}})
	if err != nil {
		t.Fatal(err)
	}
	if body, err := io.ReadAll(got.Body); string(body) != "ne" || err != nil || *got.VersionID != one.Version {
		t.Errorf("old version: %q, %v", body, err)
	}
	props, err := c.NewBlobClient("dir/a b").GetProperties(t.Context(), nil)
	if err != nil || *props.VersionID != *up.VersionID || !*props.IsCurrentVersion {
		t.Errorf("properties: %v, %+v", err, props)
	}
	never, _ := c.NewBlobClient("dir/a b").WithVersionID("2020-01-01T00:00:00.0000000Z")
	if _, err := never.GetProperties(t.Context(), nil); !bloberror.HasCode(err, bloberror.BlobNotFound) {
		t.Errorf("a version that never was: %v", err)
	}
	var seen []string
	for pages := c.NewListBlobsFlatPager(&container.ListBlobsFlatOptions{
		Include: container.ListBlobsInclude{Versions: true}, Prefix: to.Ptr("dir/"),
	}); pages.More(); {
		page, err := pages.NextPage(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, b := range page.Segment.BlobItems {
			seen = append(seen, fmt.Sprint(*b.Name, *b.VersionID, b.IsCurrentVersion != nil && *b.IsCurrentVersion))
		}
	}
	if want := fmt.Sprintf("dir/a b%sfalse,dir/a b%strue", one.Version, *up.VersionID); strings.Join(seen, ",") != want {
		t.Errorf("listed %q, want %q", seen, want)
	}
}

// TestGCSSDK: Google's own client sees generations, preconditions and pages.
func TestGCSSDK(t *testing.T) {
	srv := gcs.Get(t)
	srv.Setenv(t)
	place := fresh("sdk")
	srv.CreateBucket(t, place, true)
	for name, options := range map[string]func() (*storage.Client, error){
		"xml":  func() (*storage.Client, error) { return storage.NewClient(t.Context()) },
		"json": func() (*storage.Client, error) { return storage.NewClient(t.Context(), storage.WithJSONReads()) },
	} {
		client, err := options()
		if err != nil {
			t.Fatal(err)
		}
		one := srv.Put(t, place, name+"/a b", []byte("one"))
		two := srv.Put(t, place, name+"/a b", []byte("two"))
		o := client.Bucket(place).Object(name + "/a b")
		r, err := o.Generation(one.Generation).NewRangeReader(t.Context(), 1, 2)
		if err != nil {
			t.Fatal(err)
		}
		if body, err := io.ReadAll(r); string(body) != "ne" || err != nil || r.Attrs.Generation != one.Generation {
			t.Errorf("%s: old generation: %q, %v, %+v", name, body, err, r.Attrs)
		}
		_ = r.Close()
		_, err = o.If(storage.Conditions{GenerationMatch: one.Generation}).NewReader(t.Context())
		if failed := (*googleapi.Error)(nil); !errors.As(err, &failed) || failed.Code != http.StatusPreconditionFailed {
			t.Errorf("%s: old generation as a condition: %v", name, err)
		}
		attrs, err := o.Attrs(t.Context())
		if err != nil || attrs.Generation != two.Generation || attrs.Etag != two.ETag || len(attrs.MD5) != 16 {
			t.Errorf("%s: %v, %+v", name, err, attrs)
		}
		var seen []int64
		q := &storage.Query{Prefix: name + "/", Versions: true}
		if err := q.SetAttrSelection([]string{"Name", "Generation"}); err != nil {
			t.Fatal(err)
		}
		it := client.Bucket(place).Objects(t.Context(), q)
		it.PageInfo().MaxSize = 1
		for {
			attrs, err := it.Next()
			if errors.Is(err, iterator.Done) {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			seen = append(seen, attrs.Generation)
		}
		if len(seen) != 2 || seen[0] != one.Generation || seen[1] != two.Generation {
			t.Errorf("%s: listed %v, want %d and %d", name, seen, one.Generation, two.Generation)
		}
		if err := client.Close(); err != nil {
			t.Error(err)
		}
	}
}
