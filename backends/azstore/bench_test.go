package azstore_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"testing"

	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/container"

	"github.com/pinfs/pinfs/backends/azstore"
	"github.com/pinfs/pinfs/backends/backendtest"
)

// BenchmarkList lists 100,000 blobs of a server that has its answers ready, by the
// driver and by the SDK alone, whose XML takes nearly all of both.
func BenchmarkList(b *testing.B) {
	const pages, each = 20, 5000
	var answers [pages]string
	for p := range pages {
		var lines []string
		for i := range each {
			lines = append(lines, version(fmt.Sprintf("data/%06d.bin", p*each+i), "2026-01-02T03:04:05.1234567Z", true))
		}
		next := ""
		if p < pages-1 {
			next = strconv.Itoa(p + 1)
		}
		answers[p] = listing(next, lines...)
	}
	f := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n, _ := strconv.Atoi(r.URL.Query().Get("marker"))
		fmt.Fprint(w, answers[n])
	}))
	defer f.Close()
	b.Run("driver", func(b *testing.B) { benchDriver(b, f.URL, pages*each) })
	b.Run("sdk", func(b *testing.B) { benchSDK(b, f.URL, pages*each) })
}

func benchDriver(b *testing.B, url string, want int) {
	s, err := azstore.New(b.Context(), azstore.Options{Endpoint: url, Account: "acct", Anonymous: true})
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	for b.Loop() {
		if infos, err := backendtest.List(b.Context(), s, "azblob://acct/cont/data/"); err != nil || len(infos) != want {
			b.Fatal(len(infos), err)
		}
	}
}

func benchSDK(b *testing.B, url string, want int) {
	c, err := container.NewClientWithNoCredential(url+"/acct/cont", nil)
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		n := 0
		pager := c.NewListBlobsFlatPager(&container.ListBlobsFlatOptions{Include: container.ListBlobsInclude{Metadata: true, Versions: true}})
		for pager.More() {
			page, err := pager.NextPage(b.Context())
			if err != nil {
				b.Fatal(err)
			}
			n += len(page.Segment.BlobItems)
		}
		if n != want {
			b.Fatal(n)
		}
	}
}
