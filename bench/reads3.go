package main

import (
	"context"
	"fmt"
	"hash/crc32"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"golang.org/x/sync/errgroup"
)

const (
	barePart = 8 << 20 // bytes of one range, as the SDKs' transfer managers take
	bareMost = 16      // ranges in flight for large files
)

// s3Place is where the bare client reads, and how.
type s3Place struct {
	Endpoint  string `json:"endpoint"`
	AccessKey string `json:"access_key"`
	SecretKey string `json:"secret_key"`
	Region    string `json:"region"`
	Bucket    string `json:"bucket"`
	Prefix    string `json:"prefix"`
	Parallel  int    `json:"parallel"` // requests in flight
}

func (p *s3Place) client() *s3.Client {
	transport := &http.Transport{MaxIdleConnsPerHost: 256, DisableCompression: true, ReadBufferSize: 256 << 10}
	return s3.New(s3.Options{
		HTTPClient: &http.Client{Transport: transport}, BaseEndpoint: aws.String(p.Endpoint), Region: p.Region, UsePathStyle: true,
		Credentials:                credentials.NewStaticCredentialsProvider(p.AccessKey, p.SecretKey, ""),
		RequestChecksumCalculation: aws.RequestChecksumCalculationWhenRequired,
		ResponseChecksumValidation: aws.ResponseChecksumValidationWhenRequired,
	})
}

// bare is the bare client with its pool of buffers.
type bare struct {
	place   *s3Place
	client  *s3.Client
	buffers chan []byte
}

func newBare(j job) *bare {
	b := &bare{place: j.S3, client: j.S3.client(), buffers: make(chan []byte, max(j.S3.Parallel, 1))}
	for range cap(b.buffers) {
		b.buffers <- make([]byte, min(barePart, max(largest(j.Files), 1)))
	}
	return b
}

func largest(files []file) (n int64) {
	for _, f := range files {
		n = max(n, f.Size)
	}
	return n
}

// get reads a range into a buffer of the pool, and gives it to seen.
func (b *bare) get(ctx context.Context, path string, off, n int64, seen func([]byte)) error {
	buf := <-b.buffers
	defer func() { b.buffers <- buf }()
	out, err := b.client.GetObject(ctx, &s3.GetObjectInput{
		Bucket: &b.place.Bucket, Key: aws.String(b.place.Prefix + path),
		Range: aws.String(fmt.Sprintf("bytes=%d-%d", off, off+n-1)),
	})
	if err != nil {
		return err
	}
	defer out.Body.Close()
	if _, err := io.ReadFull(out.Body, buf[:n]); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	if seen != nil {
		seen(buf[:n])
	}
	return nil
}

// s3Files reads whole objects, large ones in ranges, Parallel requests at once.
func s3Files(ctx context.Context, j job, t *tally) error {
	b := newBare(j)
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(max(j.S3.Parallel, 1))
	for _, f := range j.Files {
		for off := int64(0); off < f.Size; off += barePart {
			group.Go(func() error {
				start, n := time.Now(), min(barePart, f.Size-off)
				err := b.get(ctx, f.Path, off, n, nil)
				t.op(start, n, err)
				return ctx.Err()
			})
		}
	}
	return group.Wait()
}

func s3Verify(ctx context.Context, j job, t *tally) error {
	b := newBare(j)
	for _, f := range j.Files {
		start, crc := time.Now(), uint32(0)
		for off := int64(0); off < f.Size; off += barePart {
			if err := b.get(ctx, f.Path, off, min(barePart, f.Size-off), func(p []byte) { crc = crc32.Update(crc, t.table, p) }); err != nil {
				return err
			}
		}
		var err error
		if crc != f.CRC {
			err = fmt.Errorf("%s: other bytes than were put", f.Path)
		}
		t.op(start, f.Size, err)
	}
	return nil
}

func s3Random(ctx context.Context, j job, t *tally) error {
	b := newBare(j)
	apart(j.Readers, func(r int) {
		rnd := rand.New(rand.NewPCG(j.Seed, uint64(r)))
		for range j.Ops / max(j.Readers, 1) {
			if ctx.Err() != nil {
				return
			}
			i, off := place(rnd, j)
			start := time.Now()
			err := b.get(ctx, j.Files[i].Path, off, int64(j.Block), nil)
			t.op(start, int64(j.Block), err)
		}
	})
	return ctx.Err()
}

// s3First asks for the first byte of each object.
func s3First(ctx context.Context, j job, t *tally) error {
	b := newBare(j)
	for _, f := range j.Files {
		start := time.Now()
		err := b.get(ctx, f.Path, 0, 1, nil)
		t.op(start, 1, err)
	}
	return ctx.Err()
}

// s3Walk lists the objects below the prefix.
func s3Walk(ctx context.Context, j job, t *tally) error {
	start, n := time.Now(), 0
	pages := s3.NewListObjectsV2Paginator(j.S3.client(), &s3.ListObjectsV2Input{Bucket: &j.S3.Bucket, Prefix: &j.S3.Prefix})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return err
		}
		for _, o := range page.Contents {
			if !strings.HasSuffix(aws.ToString(o.Key), "/") {
				n++
			}
		}
	}
	if n != j.Ops {
		return fmt.Errorf("the listing has %d objects, want %d", n, j.Ops)
	}
	t.op(start, 0, nil)
	t.out.Ops = int64(n)
	return nil
}
