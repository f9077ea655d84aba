package fusefs

import (
	"context"
	"errors"
	"io"
	"strconv"

	"github.com/hanwen/go-fuse/v2/fuse"
	"github.com/pinfs/pinfs/manifest"
	"github.com/pinfs/pinfs/manifest/snapshot"
)

// Read gives all bytes that were asked for, as far as the file has them, or an
// error: the kernel takes a short answer for the end of the file.
func (f *fileSystem) Read(cancel <-chan struct{}, in *fuse.ReadIn, buf []byte) (fuse.ReadResult, fuse.Status) {
	f.count.read.Add(1)
	n, s, err := f.slotOf(in.NodeId)
	if err != nil {
		return nil, f.fail("", err)
	}
	if s.Kind != SlotVersion {
		return nil, fuse.EISDIR
	}
	held, err := f.tree(cancel, &in.InHeader, n, s)
	if err != nil {
		return nil, f.fail(s.path(""), err)
	}
	defer f.trees.release(held)
	rec, err := held.tree.Snapshot.Stat(n.index)
	if err != nil {
		return nil, f.fail(s.path(""), err)
	}
	if rec.Dir {
		return nil, fuse.EISDIR
	}
	f.follow(held, rec.Index, rec.Size, in)
	ctx, stop := f.request(cancel, in.Pid, f.o.ReadTimeout)
	defer stop()
	obj, got, err := f.readFile(ctx, held, rec, buf[:min(int(in.Size), len(buf))], in.Offset)
	if err != nil {
		return nil, f.faults.report(held.path(rec), obj, err)
	}
	return got, fuse.OK
}

// readFile reads len(p) bytes, or up to the end of the file.
func (f *fileSystem) readFile(ctx context.Context, held *heldTree, rec snapshot.Node, p []byte, off uint64) (manifest.Object, *answer, error) {
	obj, err := f.objects.of(held, rec.Index)
	if err != nil {
		return obj, nil, err
	}
	size := obj.Size
	if size == manifest.SizeUnknown {
		if size, err = f.askSize(ctx, obj); err != nil {
			return obj, nil, err
		}
	}
	if off >= uint64(size) {
		return obj, &answer{}, nil
	}
	p = p[:min(uint64(len(p)), uint64(size)-off)]
	a, err := f.readContent(ctx, obj, p, int64(off))
	if a.Size() == len(p) {
		return obj, a, nil
	}
	a.Done()
	if err == nil || errors.Is(err, io.EOF) {
		return obj, nil, &manifest.Error{Kind: manifest.KindCorrupt, Op: "read", Ref: obj.Ref, Msg: "the object ends early",
			Expected: bytesText(size), Found: bytesText(int64(off) + int64(a.Size()))}
	}
	return obj, nil, settle(ctx, err)
}

// readContent fills p, or has the content show what it can.
func (f *fileSystem) readContent(ctx context.Context, obj manifest.Object, p []byte, off int64) (*answer, error) {
	if f.viewer == nil {
		n, err := f.o.Content.ReadAt(ctx, obj, p, off)
		return &answer{head: p[:n]}, err
	}
	head, tail, done, err := f.viewer.View(ctx, obj, p, off)
	return &answer{head: head, tail: tail, done: done}, err
}

func bytesText(n int64) string { return strconv.FormatInt(n, 10) + " bytes" }
