package filestore

import (
	"context"
	"crypto/md5"
	"encoding/base64"
	"errors"
	"os"

	"github.com/pinfs/pinfs/backends"
	"github.com/pinfs/pinfs/manifest"
)

// Digest implements backends.Digester: the base64 MD5 of the file as it is now,
// with its size and time. A file that is changed or replaced meanwhile is
// KindChanged.
func (s *Store) Digest(ctx context.Context, info backends.Info) (backends.Info, error) {
	path, err := pathOf("digest", info.Ref)
	if err != nil {
		return backends.Info{}, err
	}
	f, err := s.open(ctx, "digest", info.Ref, path)
	if err != nil {
		return backends.Info{}, digestError(info.Ref, err)
	}
	sum, err := s.hash(ctx, "digest", f)
	_ = s.shut(f.f, f.ref)
	if err == nil {
		err = s.stays(ctx, f)
	}
	if err != nil {
		return backends.Info{}, err
	}
	return with(info, f, sum), nil
}

// Stat implements backends.Backend: it reads the whole file. Another content is
// KindChanged in W&B's words.
func (s *Store) Stat(ctx context.Context, obj manifest.Object) (backends.Info, error) {
	f, err := s.pinned(ctx, "stat", obj)
	if err != nil {
		return backends.Info{}, err
	}
	defer s.shut(f.f, f.ref) //nolint:errcheck // only read
	if want, known := sizeOf(obj); known && f.state.size != want {
		return backends.Info{}, s.mismatch(ctx, "stat", f, obj)
	}
	sum, err := s.hash(ctx, "stat", f)
	if err != nil {
		return backends.Info{}, err
	}
	if got := text(sum); got != obj.Digest {
		return backends.Info{}, manifest.LocalMismatch("stat", obj.Ref, obj.Digest, got)
	}
	return with(f.info(), f, sum), nil
}

// with completes info by what was read of f.
func with(info backends.Info, f *file, sum []byte) backends.Info {
	info.Size, info.ModTime, info.Digest = f.state.size, f.state.modTime, text(sum)
	info.Sums = []manifest.Sum{{Alg: manifest.SumMD5, Value: sum}}
	return info
}

func text(sum []byte) string { return base64.StdEncoding.EncodeToString(sum) }

// hash gives the MD5 of f, which must stay as it was when it was opened.
func (s *Store) hash(ctx context.Context, op string, f *file) ([]byte, error) {
	h := md5.New()
	for pos, eof := int64(0), false; !eof; {
		// Never less than a byte: the end is only known once it is seen.
		size := int(min(bufferSize, max(0, f.state.size-pos)+1))
		c, err := s.readAt(ctx, op, f, size, pos)
		if err != nil {
			return nil, err
		}
		h.Write(c.data)
		pos, eof = pos+int64(len(c.data)), c.eof
		c.free()
		if !c.state.same(f.state) {
			return nil, changed(op, f.ref, f.state, c.state)
		}
	}
	return h.Sum(nil), nil
}

// stays wants f's path to lead to the same, unchanged file still.
func (s *Store) stays(ctx context.Context, f *file) error {
	now, err := call(ctx, &s.guard, "digest", f.ref, func() (state, error) {
		fi, err := os.Stat(f.path)
		if err != nil {
			return state{}, err
		}
		return stateOf(fi), nil
	}, nil)
	if err != nil {
		return digestError(f.ref, err)
	}
	if !now.same(f.state) {
		return changed("digest", f.ref, f.state, now)
	}
	return nil
}

// mismatch is the error of a file whose size is not obj's. It tells the digest
// that the file has now, or its size if it is large.
func (s *Store) mismatch(ctx context.Context, op string, f *file, obj manifest.Object) error {
	found := sizeText(f.state.size)
	if f.state.size <= MaxNamed {
		sum, err := s.hash(ctx, op, f)
		if err != nil {
			return err
		}
		found = text(sum)
	}
	return manifest.LocalMismatch(op, obj.Ref, obj.Digest, found)
}

// digestError types what went wrong with a file that List has given.
func digestError(ref string, err error) error {
	var what *irregular
	switch {
	case missing(err):
		return &manifest.Error{Kind: manifest.KindGone, Op: "digest", Ref: ref, Msg: "it was there when it was listed"}
	case errors.As(err, &what):
		return &manifest.Error{Kind: manifest.KindChanged, Op: "digest", Ref: ref, Msg: "it was a file when it was listed and is " + what.Error()}
	}
	return failed("digest", ref, err)
}
