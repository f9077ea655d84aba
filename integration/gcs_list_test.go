package integration_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"cloud.google.com/go/storage"
	"golang.org/x/sync/errgroup"
	"google.golang.org/api/iterator"

	"github.com/pinfs/pinfs/backends"
	"github.com/pinfs/pinfs/backends/gcsstore"
	"github.com/pinfs/pinfs/integration/servers"
)

// fillGCS puts n objects below data/, so many in each folder.
func fillGCS(tb testing.TB, srv *servers.GCS, bucket string, n, each int) {
	tb.Helper()
	g := errgroup.Group{}
	g.SetLimit(16)
	for i := range n {
		g.Go(func() error {
			name := fmt.Sprintf("data/%04d/%06d.jpg", i/each, i)
			_, err := srv.Write(tb.Context(), bucket, name, []byte("x"), servers.GCSPut{})
			return err
		})
	}
	if err := g.Wait(); err != nil {
		tb.Fatal(err)
	}
}

// BenchmarkListGCS lists 5,000 objects of fake-gcs-server in 5 folders, by the
// driver and by Google's client with the same fields. Reported are the driver's
// time, and in units of the other's. More objects take minutes to put there. Both
// ask the server itself, since the gate builds all pages for each.
func BenchmarkListGCS(b *testing.B) {
	srv := shared.gcs.Get(b)
	srv.Setenv(b)
	b.Setenv("STORAGE_EMULATOR_HOST", srv.Direct)
	const bucket, objects = "bench", 5000
	srv.CreateBucket(b, bucket, false)
	fillGCS(b, srv, bucket, objects, 1000)
	driver, err := gcsstore.New(b.Context(), gcsstore.Options{})
	if err != nil {
		b.Fatal(err)
	}
	defer driver.Close()
	client, err := storage.NewClient(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	defer client.Close()
	ways := map[string]func() (int, error){
		"driver": func() (n int, err error) {
			err = driver.List(b.Context(), "gs://"+bucket+"/data/", func(backends.Info) error { n++; return nil })
			return n, err
		},
		"bare": func() (int, error) { return bareGCS(b, client, bucket) },
	}
	times := map[string][]time.Duration{}
	for b.Loop() {
		for name, list := range ways {
			start := time.Now()
			if n, err := list(); err != nil || n != objects {
				b.Fatalf("%s: %d objects, %v", name, n, err)
			}
			times[name] = append(times[name], time.Since(start))
		}
	}
	b.ReportMetric(median(times["driver"])/1e9, "s")
	b.ReportMetric(median(times["driver"])/median(times["bare"]), "of-bare")
	b.ReportMetric(0, "ns/op")
}

func bareGCS(b *testing.B, c *storage.Client, bucket string) (n int, err error) {
	q := &storage.Query{Prefix: "data/", Projection: storage.ProjectionNoACL}
	if err := q.SetAttrSelection([]string{"Name", "Generation", "Etag", "Size", "MD5", "CRC32C", "Created"}); err != nil {
		return 0, err
	}
	for it := c.Bucket(bucket).Objects(b.Context(), q); ; n++ {
		if _, err := it.Next(); errors.Is(err, iterator.Done) {
			return n, nil
		} else if err != nil {
			return n, err
		}
	}
}
