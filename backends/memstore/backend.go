package memstore

import (
	"bytes"
	"context"
	"encoding/hex"
	"io"
	"path"
	"slices"
	"strings"

	"github.com/pinfs/pinfs/backends"
	"github.com/pinfs/pinfs/manifest"
)

var _ backends.Backend = (*Store)(nil)

// List implements backends.Backend; the names come sorted. A URI that ends in
// ?versionId=X names that version of one object.
func (s *Store) List(ctx context.Context, uri string, fn func(backends.Info) error) error {
	f, err := s.begin(ctx, Request{Op: "list", URI: uri, Length: -1})
	if err != nil {
		return err
	}
	infos, ok := s.meant(uri)
	switch {
	case !ok:
		return backends.NoSource("list", uri, "no such bucket")
	case len(infos) == 0:
		return backends.NoSource("list", uri, "")
	}
	for _, info := range infos {
		if err := backends.Ended(ctx, "list", uri); err != nil {
			return err
		}
		if f.Info != nil {
			f.Info(&info)
		}
		if err := fn(info); err != nil {
			return err
		}
	}
	return nil
}

// meant gives what List gives, and whether the bucket is there.
func (s *Store) meant(uri string) ([]backends.Info, bool) {
	base, id := manifest.SplitVersion(uri)
	if id == "" {
		return s.below(uri)
	}
	all, ok := s.versions(base)
	i := slices.IndexFunc(all, func(v version) bool { return v.id == id && !v.deleted })
	if i < 0 {
		return nil, ok
	}
	info := all[i].info(split(base))
	info.Single = true
	return []backends.Info{info}, ok
}

// below gives what List gives of a URI without a version, and whether the bucket is there.
func (s *Store) below(uri string) ([]backends.Info, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	name, key := split(uri)
	bucket, ok := s.buckets[name]
	if v, there := last(bucket[key]); there && key != "" && !strings.HasSuffix(key, "/") {
		info := v.info(name, key)
		info.Single = true
		return []backends.Info{info}, true
	}
	prefix := key
	if key != "" && !strings.HasSuffix(key, "/") {
		prefix += "/"
	}
	var infos []backends.Info
	for key, all := range bucket {
		v, there := last(all)
		marker := strings.HasSuffix(key, "/") && len(v.data) == 0
		if below, ok := strings.CutPrefix(key, prefix); ok && there && !marker {
			info := v.info(name, key)
			info.Name = below
			infos = append(infos, info)
		}
	}
	slices.SortFunc(infos, func(a, b backends.Info) int { return strings.Compare(a.Name, b.Name) })
	return infos, ok
}

// Stat implements backends.Backend.
func (s *Store) Stat(ctx context.Context, obj manifest.Object) (backends.Info, error) {
	f, err := s.begin(ctx, Request{Op: "stat", URI: obj.Ref, Object: obj, Length: -1})
	if err != nil {
		return backends.Info{}, err
	}
	v, err := s.pinned("stat", obj)
	if err != nil {
		return backends.Info{}, err
	}
	return f.edit(v.info(split(obj.Ref))), nil
}

// Open implements backends.Backend. The body is that of the version that is
// there now, whatever happens to the object later.
func (s *Store) Open(ctx context.Context, obj manifest.Object, offset, length int64) (io.ReadCloser, backends.Info, error) {
	f, err := s.begin(ctx, Request{Op: "open", URI: obj.Ref, Object: obj, Offset: offset, Length: length})
	if err != nil {
		return nil, backends.Info{}, err
	}
	v, err := s.pinned("open", obj)
	if err != nil {
		return nil, backends.Info{}, err
	}
	size := int64(len(v.data))
	from := min(max(0, offset), size)
	to := size
	if length >= 0 {
		to = min(size, from+min(length, size-from))
	}
	var r io.Reader = bytes.NewReader(v.data[from:to])
	if f.Body != nil {
		r = f.Body(ctx, r)
	}
	s.opened()
	return &body{ctx: ctx, ref: obj.Ref, r: r, s: s}, f.edit(v.info(split(obj.Ref))), nil
}

// Close implements backends.Backend. The objects stay; later calls fail.
func (s *Store) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	return nil
}

// pinned gives the version that obj's pin names, if it has the recorded size.
func (s *Store) pinned(op string, obj manifest.Object) (version, error) {
	v, err := s.find(op, obj)
	if err == nil {
		err = backends.CheckSize(op, obj, int64(len(v.data)))
	}
	return v, err
}

// find gives the version that obj's pin names.
func (s *Store) find(op string, obj manifest.Object) (version, error) {
	all, _ := s.versions(obj.Ref)
	switch obj.Pin.Kind {
	case manifest.PinVersion:
		i := slices.IndexFunc(all, func(v version) bool { return v.id == obj.Pin.Value && !v.deleted })
		if i < 0 {
			return version{}, backends.Gone(op, obj, "")
		}
		if tag := all[i].etag; obj.Digest != tag && obj.Digest != obj.Ref {
			return version{}, backends.Changed(op, manifest.Object{Ref: obj.Ref, Digest: obj.Digest}, tag)
		}
		return all[i], nil
	case manifest.PinETag:
		for _, v := range slices.Backward(all) {
			if v.etag == obj.Pin.Value && !v.deleted {
				return v, nil
			}
		}
		if now, ok := last(all); ok {
			return version{}, backends.Changed(op, obj, now.etag)
		}
		return version{}, backends.Gone(op, obj, "")
	}
	return version{}, backends.Unpinned(op, obj)
}

func (v version) info(bucket, key string) backends.Info {
	sum, _ := hex.DecodeString(v.etag)
	info := backends.Info{
		Name: path.Base(key), Ref: "mem://" + bucket + "/" + key, Digest: v.etag, Size: int64(len(v.data)),
		Extra: map[string]any{manifest.ExtraETag: v.etag}, ModTime: v.modTime,
		Sums: []manifest.Sum{{Alg: manifest.SumMD5, Value: sum}},
	}
	if v.id != nullVersion {
		info.Extra[manifest.ExtraVersion] = v.id
	}
	return info
}

// body counts what is read and ends with its context.
type body struct {
	ctx    context.Context
	ref    string
	r      io.Reader
	s      *Store
	closed bool
}

func (b *body) Read(p []byte) (int, error) {
	if err := backends.Ended(b.ctx, "read", b.ref); err != nil {
		return 0, err
	}
	if b.closed {
		return 0, io.ErrClosedPipe
	}
	n, err := b.r.Read(p)
	b.s.read(n)
	if ended := backends.Ended(b.ctx, "read", b.ref); ended != nil && err != nil {
		return n, ended
	}
	return n, err
}

func (b *body) Close() error {
	if !b.closed {
		b.closed = true
		b.s.shut()
	}
	return nil
}
