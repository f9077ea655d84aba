package integration_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"golang.org/x/sync/errgroup"

	"github.com/pinfs/pinfs/backends"
	"github.com/pinfs/pinfs/backends/backendtest"
	"github.com/pinfs/pinfs/backends/s3store"
	"github.com/pinfs/pinfs/integration/servers"
)

// fill puts n objects below data/ of a new bucket, so many in each folder.
func fill(tb testing.TB, srv *servers.S3, bucket string, n, each int) {
	tb.Helper()
	srv.CreateBucket(tb, bucket, false)
	g := errgroup.Group{}
	g.SetLimit(32)
	for i := range n {
		g.Go(func() error {
			srv.Put(tb, bucket, fmt.Sprintf("data/%04d/%06d.jpg", i/each, i), []byte("x"))
			return nil
		})
	}
	_ = g.Wait() // Put fails the test
}

// TestListAtOnce: 20 folders of 750 objects are listed by several requests at once,
// and by few more than the 15 that it takes one after the other.
func TestListAtOnce(t *testing.T) {
	srv := shared.minio.Get(t)
	srv.Setenv(t)
	const objects = 15_000
	fill(t, srv, "at-once", objects, 750)
	p := servers.StartFaultProxy(t, srv.Endpoint)
	p.Suite().Break(backendtest.Fault{Op: backendtest.ListOp, Delay: 20 * time.Millisecond}) // or they might not meet
	b := s3Driver(t, s3store.Options{Endpoint: p.Endpoint})
	if n := len(listS3(t, b, "s3://at-once/data")); n != objects {
		t.Errorf("got %d objects, want %d", n, objects)
	}
	requests := p.Suite().Seen(backendtest.AnyOp)
	peak := p.Traffic().Peak
	t.Logf("%d requests, up to %d at once", requests, peak)
	if requests > 25 || peak < 4 || peak > backends.TreeRequests {
		t.Errorf("%d requests, up to %d at once; want at most 25, and 4 to %d at once", requests, peak, backends.TreeRequests)
	}
}

// BenchmarkList lists 100,000 objects of MinIO, in 100 folders and in one, by the
// driver and by the paginators of its SDK: that of versions, which tells the same as
// the driver, and the plain one. Reported are the driver's times in units of theirs.
func BenchmarkList(b *testing.B) {
	srv := shared.minio.Get(b)
	srv.Setenv(b)
	const objects = 100_000
	for name, each := range map[string]int{"folders": 1000, "flat": objects} {
		b.Run(name, func(b *testing.B) {
			bucket := fmt.Sprintf("bench-%s-%d", name, time.Now().UnixNano())
			fill(b, srv, bucket, objects, each)
			benchList(b, srv, bucket, objects)
		})
	}
}

func benchList(b *testing.B, srv *servers.S3, bucket string, want int) {
	driver, err := s3store.New(b.Context(), s3store.Options{Endpoint: srv.Endpoint})
	if err != nil {
		b.Fatal(err)
	}
	defer driver.Close()
	ways := map[string]func() (int, error){
		"driver": func() (n int, err error) {
			err = driver.List(b.Context(), "s3://"+bucket+"/data/", func(backends.Info) error { n++; return nil })
			return n, err
		},
		"versions": func() (int, error) { return bareVersions(b, srv.Client(b), bucket) },
		"plain":    func() (int, error) { return barePlain(b, srv.Client(b), bucket) },
	}
	times := map[string][]time.Duration{}
	for b.Loop() {
		for name, list := range ways {
			start := time.Now()
			if n, err := list(); err != nil || n != want {
				b.Fatalf("%s: %d objects, %v", name, n, err)
			}
			times[name] = append(times[name], time.Since(start))
		}
	}
	b.ReportMetric(median(times["driver"])/1e9, "s")
	b.ReportMetric(median(times["driver"])/median(times["versions"]), "of-versions")
	b.ReportMetric(median(times["driver"])/median(times["plain"]), "of-plain")
	b.ReportMetric(0, "ns/op")
}

func bareVersions(b *testing.B, c *s3.Client, bucket string) (n int, err error) {
	pages := s3.NewListObjectVersionsPaginator(c, &s3.ListObjectVersionsInput{Bucket: &bucket, Prefix: aws.String("data/")})
	for pages.HasMorePages() {
		page, err := pages.NextPage(b.Context())
		if err != nil {
			return n, err
		}
		n += len(page.Versions)
	}
	return n, nil
}

func barePlain(b *testing.B, c *s3.Client, bucket string) (n int, err error) {
	pages := s3.NewListObjectsV2Paginator(c, &s3.ListObjectsV2Input{Bucket: &bucket, Prefix: aws.String("data/")})
	for pages.HasMorePages() {
		page, err := pages.NextPage(b.Context())
		if err != nil {
			return n, err
		}
		n += len(page.Contents)
	}
	return n, nil
}
