package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// walkNames reads all directories below Root. j.Ops is the number of files that
// are there.
func walkNames(ctx context.Context, j job, t *tally) error { return walkAll(ctx, j, t, nil) }

// walkAttributes asks for the attributes of each file too.
func walkAttributes(ctx context.Context, j job, t *tally) error {
	return walkAll(ctx, j, t, func(path string) error {
		_, err := os.Lstat(path)
		return err
	})
}

func walkAll(ctx context.Context, j job, t *tally, each func(path string) error) error {
	start := time.Now()
	n, err := walk(ctx, j.Root, each)
	if err != nil {
		return err
	}
	if n != j.Ops {
		return fmt.Errorf("the walk saw %d files, want %d", n, j.Ops)
	}
	t.op(start, 0, nil)
	t.out.Ops = int64(n)
	return nil
}

// walk goes through a directory in the order it has, without sorting.
func walk(ctx context.Context, dir string, each func(string) error) (files int, err error) {
	if ctx.Err() != nil {
		return 0, ctx.Err()
	}
	f, err := os.Open(dir)
	if err != nil {
		return 0, err
	}
	entries, err := f.ReadDir(-1)
	_ = f.Close() // read only
	if err != nil {
		return 0, err
	}
	for _, e := range entries {
		path, n := filepath.Join(dir, e.Name()), 1
		if e.IsDir() {
			n, err = walk(ctx, path, each)
		} else if each != nil {
			err = each(path)
		}
		if err != nil {
			return files, err
		}
		files += n
	}
	return files, nil
}
