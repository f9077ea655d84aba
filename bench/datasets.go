package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"hash/crc32"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"golang.org/x/sync/errgroup"
)

const (
	bucket   = "bench"
	seedPart = 64 << 20 // bytes of one part of an upload
	seedMany = 8        // files that are written at once
	perDir   = 100      // files of one directory of a data set
	// smallFile is the size of a file, bytes, up to which the number of files is what
	// takes the time.
	smallFile = 64 << 10

	manifestEntry = 300 // bytes, at most
)

// dataset is a set of files with random contents, by its name in the bucket, on
// the disk and in the registry.
type dataset struct {
	name   string
	count  int
	size   int64 // bytes of each file
	listed bool  // names only: a manifest for pinfs, empty files on the disk
	absent bool  // not even those
	files  []file
}

// datasets are those that scenarios use, at a scale of 1 as the rows are named.
func datasets(scale float64) map[string]*dataset {
	count := func(n int) int { return max(int(float64(n)*scale), 16) }
	size := func(n int64) int64 { return max(int64(float64(n)*scale), 8<<20) &^ (1<<20 - 1) }
	sets := map[string]*dataset{}
	for _, d := range []*dataset{
		{name: "large", count: 1, size: size(2 << 30)},
		{name: "four", count: 4, size: size(512 << 20)},
		{name: "one", count: 1, size: size(512 << 20)}, // for slow networks
		{name: "small", count: count(10_000), size: 8 << 10},
		{name: "fewer", count: count(2_000), size: 8 << 10}, // for slow networks
		{name: "medium", count: count(64), size: 5 << 20},
		{name: "listed", count: count(100_000), listed: true},
		{name: "huge", count: count(1_000_000), listed: true, absent: true},
	} {
		for i := range d.count {
			d.files = append(d.files, file{Path: fmt.Sprintf("dir-%04d/file-%07d.bin", i/perDir, i), Size: d.size})
		}
		sets[d.name] = d
	}
	return sets
}

// bytes is what the set takes on a disk.
func (d *dataset) bytes() int64 {
	if d.absent {
		return int64(d.count) * manifestEntry
	}
	return int64(d.count) * max(d.size, 4<<10)
}

// seeder writes data sets to the server and to the disk.
type seeder struct {
	client *s3.Client
	disk   string
}

// seed writes all files of a set and notes their checksums.
func (s seeder) seed(ctx context.Context, d *dataset) error {
	if d.absent {
		return nil
	}
	dirs := map[string]bool{}
	for _, f := range d.files {
		if dir := filepath.Dir(filepath.Join(s.disk, d.name, f.Path)); !dirs[dir] {
			if err := os.MkdirAll(dir, 0o755); err != nil {
				return err
			}
			dirs[dir] = true
		}
	}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(seedMany)
	for i := range d.files {
		group.Go(func() error {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			return s.write(ctx, d, i)
		})
	}
	return group.Wait()
}

// write makes one file: its content follows from the set's name and its number.
func (s seeder) write(ctx context.Context, d *dataset, i int) error {
	var seed [32]byte
	copy(seed[:], fmt.Sprintf("%s/%d", d.name, i))
	content := io.LimitReader(rand.NewChaCha8(seed), d.size)
	f, err := os.Create(filepath.Join(s.disk, d.name, d.files[i].Path))
	if err != nil {
		return err
	}
	if d.listed {
		return f.Close()
	}
	crc := crc32.New(crc32.MakeTable(crc32.Castagnoli))
	err = s.upload(ctx, d.name+"/"+d.files[i].Path, io.TeeReader(content, io.MultiWriter(crc, f)), d.size)
	d.files[i].CRC = crc.Sum32()
	if closed := f.Close(); err == nil {
		err = closed
	}
	return err
}

// upload puts an object, a large one in parts.
func (s seeder) upload(ctx context.Context, key string, r io.Reader, size int64) error {
	if size <= seedPart {
		data, err := io.ReadAll(r)
		if err == nil {
			_, err = s.client.PutObject(ctx, &s3.PutObjectInput{Bucket: aws.String(bucket), Key: &key, Body: bytes.NewReader(data)})
		}
		return err
	}
	up, err := s.client.CreateMultipartUpload(ctx, &s3.CreateMultipartUploadInput{Bucket: aws.String(bucket), Key: &key})
	if err != nil {
		return err
	}
	var parts []types.CompletedPart
	buf := make([]byte, seedPart)
	for left := size; left > 0; left -= seedPart {
		n := min(left, seedPart)
		if _, err := io.ReadFull(r, buf[:n]); err != nil {
			return err
		}
		number := aws.Int32(int32(len(parts) + 1))
		out, err := s.client.UploadPart(ctx, &s3.UploadPartInput{
			Bucket: up.Bucket, Key: up.Key, UploadId: up.UploadId, PartNumber: number, Body: bytes.NewReader(buf[:n]),
		})
		if err != nil {
			return err
		}
		parts = append(parts, types.CompletedPart{PartNumber: number, ETag: out.ETag})
	}
	_, err = s.client.CompleteMultipartUpload(ctx, &s3.CompleteMultipartUploadInput{
		Bucket: up.Bucket, Key: up.Key, UploadId: up.UploadId, MultipartUpload: &types.CompletedMultipartUpload{Parts: parts},
	})
	return err
}

// writeManifest writes a W&B manifest of a listed set: there are no objects behind it.
func (d *dataset) writeManifest(path string) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	w := bufio.NewWriter(f)
	fmt.Fprint(w, `{"version":1,"storagePolicy":"wandb-storage-policy-v1","storagePolicyConfig":{},"contents":{`)
	for i, e := range d.files {
		if i > 0 {
			fmt.Fprint(w, ",")
		}
		fmt.Fprintf(w, `"%s":{"digest":"%032x","ref":"s3://%s/%s/%s","size":%d,"extra":{"etag":"%032x","versionID":"%026d"}}`,
			e.Path, i, bucket, d.name, e.Path, 100+i%400, i, i)
	}
	fmt.Fprint(w, "}}")
	err = w.Flush()
	if closed := f.Close(); err == nil {
		err = closed
	}
	return err
}
