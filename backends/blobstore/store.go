package blobstore

import (
	"context"
	"encoding/hex"
	"errors"
	"io"

	"github.com/pinfs/pinfs/backends"
	"github.com/pinfs/pinfs/manifest"
)

// Store reads copies. Make one with New.
type Store struct {
	find  Finder
	files backends.Backend
}

var _ backends.Backend = (*Store)(nil)

// New makes the driver. files reads what find gives, as file:// references; it
// stays the caller's.
func New(find Finder, files backends.Backend) *Store { return &Store{find: find, files: files} }

// List implements backends.Backend: copies are named by versions alone.
func (s *Store) List(_ context.Context, uri string, _ func(backends.Info) error) error {
	return &manifest.Error{Kind: manifest.KindUnsupported, Op: "list", Ref: uri, Msg: "the copies of a registry can't be listed"}
}

// Stat implements backends.Backend: it reads the whole copy.
func (s *Store) Stat(ctx context.Context, obj manifest.Object) (backends.Info, error) {
	file, err := s.file(ctx, "stat", obj)
	if err != nil {
		return backends.Info{}, err
	}
	info, err := s.files.Stat(ctx, file)
	return told(info, obj), mend(obj, err)
}

// Open implements backends.Backend.
func (s *Store) Open(ctx context.Context, obj manifest.Object, offset, length int64) (io.ReadCloser, backends.Info, error) {
	file, err := s.file(ctx, "open", obj)
	if err != nil {
		return nil, backends.Info{}, err
	}
	body, info, err := s.files.Open(ctx, file, offset, length)
	if err != nil {
		return nil, backends.Info{}, mend(obj, err)
	}
	return &stream{body, obj}, told(info, obj), nil
}

// Close implements backends.Backend; there is nothing to free.
func (s *Store) Close() error { return nil }

// file gives obj as the reference to a local file.
func (s *Store) file(ctx context.Context, op string, obj manifest.Object) (manifest.Object, error) {
	sum, ok := sha256Of(obj)
	if !ok || obj.Pin.Kind != manifest.PinMD5 {
		return manifest.Object{}, &manifest.Error{Kind: manifest.KindUnsupported, Op: op, Ref: obj.Ref,
			Msg: "the entry has no reference: W&B's server stores its content, and no registry of pinfs has it"}
	}
	local, err := s.find(ctx, sum)
	if manifest.KindOf(err) == manifest.KindNotFound && err != nil {
		return manifest.Object{}, &manifest.Error{Kind: manifest.KindGone, Op: op, Ref: name(sum), Err: err,
			Msg: "the copy is not there", Hint: "put it again with --copy, into the registry that is mounted"}
	}
	if err != nil {
		return manifest.Object{}, err
	}
	file := obj
	file.Ref = "file://" + local
	return file, nil
}

func sha256Of(obj manifest.Object) (string, bool) {
	for _, sum := range obj.Sums() {
		if sum.Alg == manifest.SumSHA256 {
			return hex.EncodeToString(sum.Value), true
		}
	}
	return "", false
}

// told makes what is said of the file something that is said of the copy.
func told(info backends.Info, obj manifest.Object) backends.Info {
	sum, _ := sha256Of(obj)
	info.Name, info.Ref, info.Digest = sum, obj.Ref, obj.Digest
	return info
}

// mend names the copy in an error of its file. A copy never changes: other bytes
// are damage.
func mend(obj manifest.Object, err error) error {
	var typed *manifest.Error
	if err == nil || !errors.As(err, &typed) {
		return err
	}
	sum, _ := sha256Of(obj)
	with := *typed
	with.Ref = name(sum)
	switch with.Kind {
	case manifest.KindChanged:
		with.Kind, with.Msg, with.Err = manifest.KindCorrupt, "the registry's copy is damaged", nil
		with.Hint = "remove it from the registry and put it again with --copy"
	case manifest.KindGone:
		with.Msg, with.Err, with.Expected, with.Found = "the registry has lost the copy", nil, "", ""
	}
	return &with
}

// stream names the copy in errors of its body.
type stream struct {
	io.ReadCloser
	obj manifest.Object
}

func (s *stream) Read(p []byte) (int, error) {
	n, err := s.ReadCloser.Read(p)
	if err == nil || err == io.EOF { //nolint:errorlint // io.Reader's own rule
		return n, err
	}
	return n, mend(s.obj, err)
}
