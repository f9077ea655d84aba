package filestore

import (
	"context"
	"crypto/md5"
	"encoding/base64"
	"errors"
	"hash"
	"os"
	"path/filepath"
	"syscall"

	"github.com/pinfs/pinfs/backends"
	"github.com/pinfs/pinfs/manifest"
)

// Digest implements backends.Digester: the base64 MD5 of the file as it is now,
// with its size and time. A file that is changed or replaced meanwhile is
// KindChanged.
func (s *Store) Digest(ctx context.Context, info backends.Info) (backends.Info, error) {
	return s.digest(ctx, md5.New(), info)
}

// digest is Digest by h, which it resets.
func (s *Store) digest(ctx context.Context, h hash.Hash, info backends.Info) (backends.Info, error) {
	path, err := pathOf("digest", info.Ref)
	if err != nil {
		return backends.Info{}, err
	}
	f, c, err := s.begin(ctx, info.Ref, path)
	if err != nil {
		return backends.Info{}, digestError(info.Ref, err)
	}
	var sum []byte
	if c != nil {
		sum, err = sumSmall(h, f, c)
	} else {
		sum, err = s.sumLarge(ctx, h, f)
	}
	if err != nil {
		return backends.Info{}, err
	}
	return with(info, f, sum), nil
}

// opened is what begin has after its call.
type opened struct {
	f *file
	c *chunk // all of the file, which is closed then; nil for a large file
}

func (o opened) free() {
	if o.c != nil {
		o.c.free()
	} else {
		_ = o.f.f.Close()
	}
}

// begin opens a file. A small one it reads and closes in the same call: five
// system calls in all, which count when there are many files.
func (s *Store) begin(ctx context.Context, ref, path string) (*file, *chunk, error) {
	if err := s.outside(ctx, "digest", ref, path); err != nil {
		return nil, nil, err
	}
	sh, err := s.shares.of(ctx, "digest", ref, filepath.Dir(filepath.Clean(path)))
	if err != nil {
		return nil, nil, err
	}
	o, err := call(ctx, sh, "digest", ref, func() (opened, error) {
		fd, st, err := s.openFD(path)
		if err != nil {
			return opened{}, err
		}
		f := &file{share: sh, path: path, ref: ref, state: st}
		if st.size > bufferSize {
			adviseSequential(fd)
			f.f = os.NewFile(uintptr(fd), path)
			return opened{f: f}, nil
		}
		defer syscall.Close(fd) //nolint:errcheck // only read
		c, err := s.readFD(fd, path, max(1, int(st.size)), 0)
		return opened{f, c}, err
	}, opened.free)
	return o.f, o.c, err
}

// sumSmall hashes a file that was read in one piece.
func sumSmall(h hash.Hash, f *file, c *chunk) ([]byte, error) {
	defer c.free()
	if int64(len(c.data)) != f.state.size || !c.state.same(f.state) || c.state.links != f.state.links {
		return nil, changed("digest", f.ref, f.state, c.state)
	}
	h.Reset()
	_, _ = h.Write(c.data) // never fails, see hash.Hash
	return h.Sum(nil), nil
}

// sumLarge hashes an open file and closes it.
func (s *Store) sumLarge(ctx context.Context, h hash.Hash, f *file) ([]byte, error) {
	sum, err := s.hash(ctx, "digest", h, f)
	_ = f.close()
	if err == nil {
		err = s.stays(ctx, f)
	}
	return sum, err
}

// Stat implements backends.Backend: it reads the whole file. Another content is
// KindChanged in W&B's words.
func (s *Store) Stat(ctx context.Context, obj manifest.Object) (backends.Info, error) {
	f, err := s.pinned(ctx, "stat", obj)
	if err != nil {
		return backends.Info{}, err
	}
	defer f.close() //nolint:errcheck // only read
	if want, known := sizeOf(obj); known && f.state.size != want {
		return backends.Info{}, s.mismatch(ctx, "stat", f, obj)
	}
	sum, err := s.hash(ctx, "stat", md5.New(), f)
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

// stays wants f's path to lead to the same, unchanged file still.
func (s *Store) stays(ctx context.Context, f *file) error {
	now, err := call(ctx, f.share, "digest", f.ref, func() (state, error) {
		var st syscall.Stat_t
		if _, err := again(func() (int, error) { return 0, syscall.Stat(f.path, &st) }); err != nil {
			return state{}, os.NewSyscallError("stat", err)
		}
		return stateFrom(&st), nil
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
		sum, err := s.hash(ctx, op, md5.New(), f)
		if err != nil {
			return err
		}
		if found = text(sum); found == obj.Digest { // the manifest's size is wrong
			return backends.CheckSize(op, obj, f.state.size)
		}
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
