package main

import (
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"math/rand/v2"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// readFiles reads whole files; each reader has every Readers-th one.
func readFiles(ctx context.Context, j job, t *tally) error {
	return passes(ctx, j, func() error {
		apart(j.Readers, func(r int) {
			buf := make([]byte, j.Block)
			for i := r; i < len(j.Files) && ctx.Err() == nil; i += max(j.Readers, 1) {
				start := time.Now()
				n, err := readWhole(filepath.Join(j.Root, j.Files[i].Path), j.Files[i].Size, buf, nil)
				t.op(start, n, err)
			}
		})
		return ctx.Err()
	})
}

// readWhole reads a file as cp does, and gives each piece to seen. It is the system's
// calls alone: Go's own files are added to its poller, which refuses those of disks but
// takes those of FUSE, so that each would cost two calls more that no C program or
// Python makes.
func readWhole(path string, size int64, buf []byte, seen func([]byte)) (n int64, err error) {
	fd, err := retried(func() (int, error) { return unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0) })
	if err != nil {
		return 0, &os.PathError{Op: "open", Path: path, Err: err}
	}
	defer unix.Close(fd)
	for {
		got, err := retried(func() (int, error) { return unix.Read(fd, buf) })
		if err != nil {
			return n, &os.PathError{Op: "read", Path: path, Err: err}
		}
		n += int64(got)
		if seen != nil {
			seen(buf[:got])
		}
		if got == 0 {
			break
		}
	}
	if n != size {
		return n, fmt.Errorf("%s: %d bytes, want %d", path, n, size)
	}
	return n, nil
}

// retried calls again what a signal of Go's own scheduler interrupted.
func retried(call func() (int, error)) (n int, err error) {
	for {
		if n, err = call(); !errors.Is(err, unix.EINTR) {
			return n, err
		}
	}
}

// verifyFiles compares the contents with what was put.
func verifyFiles(ctx context.Context, j job, t *tally) error {
	buf := make([]byte, j.Block)
	for _, f := range j.Files {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		start, crc := time.Now(), uint32(0)
		n, err := readWhole(filepath.Join(j.Root, f.Path), f.Size, buf, func(p []byte) { crc = crc32.Update(crc, t.table, p) })
		if err == nil && crc != f.CRC {
			err = fmt.Errorf("%s: other bytes than were put", f.Path)
		}
		t.op(start, n, err)
	}
	return nil
}

// readRandom reads blocks at random places of the files.
func readRandom(ctx context.Context, j job, t *tally) error {
	files, err := openAll(j)
	if err != nil {
		return err
	}
	defer closeAll(files)
	apart(j.Readers, func(r int) {
		rnd, buf := rand.New(rand.NewPCG(j.Seed, uint64(r))), make([]byte, j.Block)
		for range j.Ops / max(j.Readers, 1) {
			if ctx.Err() != nil {
				return
			}
			i, off := place(rnd, j)
			start := time.Now()
			n, err := files[i].ReadAt(buf, off)
			t.op(start, int64(n), err)
		}
	})
	return ctx.Err()
}

// place gives the next file and offset; it is a multiple of the block.
func place(rnd *rand.Rand, j job) (i int, off int64) {
	i = rnd.IntN(len(j.Files))
	blocks := max(j.Files[i].Size/int64(j.Block), 1)
	return i, rnd.Int64N(blocks) * int64(j.Block)
}

func openAll(j job) (files []*os.File, err error) {
	for _, f := range j.Files {
		open, err := os.Open(filepath.Join(j.Root, f.Path))
		if err != nil {
			closeAll(files)
			return nil, err
		}
		files = append(files, open)
	}
	return files, nil
}

func closeAll(files []*os.File) {
	for _, f := range files {
		_ = f.Close() // read only
	}
}

// readFirst opens each file and reads one byte.
func readFirst(ctx context.Context, j job, t *tally) error {
	for _, f := range j.Files {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		start := time.Now()
		n, err := firstByte(filepath.Join(j.Root, f.Path))
		t.op(start, n, err)
	}
	return nil
}

func firstByte(path string) (int64, error) {
	f, err := os.Open(path)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	n, err := f.Read(make([]byte, 1))
	return int64(n), err
}

// readMapped touches each page of the files in order, through a mapping.
func readMapped(ctx context.Context, j job, t *tally) error {
	return mapped(j, func(pages []byte) {
		for off := 0; off < len(pages) && ctx.Err() == nil; off += j.Block {
			start := time.Now()
			end := min(off+j.Block, len(pages))
			for p := off; p < end; p += os.Getpagesize() {
				t.sum += pages[p]
			}
			t.op(start, int64(end-off), nil)
		}
	})
}

// readMappedRandom touches single pages at random.
func readMappedRandom(ctx context.Context, j job, t *tally) error {
	rnd := rand.New(rand.NewPCG(j.Seed, 0))
	return mapped(j, func(pages []byte) {
		for range j.Ops {
			if ctx.Err() != nil {
				return
			}
			off := rnd.IntN(len(pages)/os.Getpagesize()) * os.Getpagesize()
			start := time.Now()
			t.sum += pages[off]
			t.op(start, int64(os.Getpagesize()), nil)
		}
	})
}

// mapped maps the first file and gives its pages to read. A page that can't be
// brought kills the process with SIGBUS, which is an error of the row.
func mapped(j job, read func(pages []byte)) error {
	f, err := os.Open(filepath.Join(j.Root, j.Files[0].Path))
	if err != nil {
		return err
	}
	defer f.Close()
	pages, err := unix.Mmap(int(f.Fd()), 0, int(j.Files[0].Size), unix.PROT_READ, unix.MAP_SHARED)
	if err != nil {
		return fmt.Errorf("map %s: %w", j.Files[0].Path, err)
	}
	read(pages)
	return unix.Munmap(pages)
}
