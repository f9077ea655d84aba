package registry

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/pinfs/pinfs/manifest"
)

// DirStore keeps a registry in a local or network directory.
//
// A record appears by link(2) and changes by rename(2), from a temporary file that
// was synced before, so readers take no lock and see whole records, and a crash
// leaves a temporary file at most. link decides between concurrent creators: it is
// atomic on NFS too, where a lost reply can make a success look like EEXIST, so
// the inode is compared. Changes and deletions hold flock(2) on ".lock", which
// Linux turns into a byte-range lock on NFS, seen by all clients; it is freed by
// the kernel or the server when its holder dies. Permissions are left to the umask
// and to default ACLs: a registry can be a group's.
//
// Names that begin with '.' are the store's own; keys are escaped so that they
// never do.
type DirStore struct {
	dir  string
	turn chan struct{} // holds one token while nobody in this process has the lock

	swept sync.Once // the first write looks for leftovers of crashes
}

var _ Store = (*DirStore)(nil)

// NewDirStore gives the store in dir, which the first write creates.
func NewDirStore(dir string) *DirStore {
	d := &DirStore{dir: filepath.Clean(dir), turn: make(chan struct{}, 1)}
	d.turn <- struct{}{}
	return d
}

// Close does nothing: a DirStore holds nothing between calls.
func (d *DirStore) Close() error { return nil }

// Get reads a record; the tag is the hash of its content. A file that is replaced
// on an NFS server while it is read gives ESTALE: it is opened again.
func (d *DirStore) Get(ctx context.Context, key string) ([]byte, Tag, error) {
	path, err := d.start(ctx, "read", key)
	if err != nil {
		return nil, "", err
	}
	data, err := readRecord(path)
	for tries := 0; errors.Is(err, unix.ESTALE) && tries < 3; tries++ {
		data, err = readRecord(path)
	}
	if err != nil {
		return nil, "", d.fail("read", key, err)
	}
	return data, tagOf(data), nil
}

func tagOf(data []byte) Tag {
	sum := sha256.Sum256(data)
	return Tag(hex.EncodeToString(sum[:]))
}

var errTooLarge = errors.New("larger than a record may be")

func readRecord(path string) ([]byte, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, MaxRecord+1))
	if err == nil && len(data) > MaxRecord {
		err = errTooLarge
	}
	return data, err
}

// List reads the directory in batches. A folder whose making was cut short by a
// crash holds no record and is not there.
func (d *DirStore) List(ctx context.Context, prefix string) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		dir, err := d.folder(ctx, prefix)
		if err != nil {
			yield("", err)
			return
		}
		for e, err := range entries(dir) {
			if err == nil {
				err = ctx.Err()
			}
			if err != nil {
				yield("", d.fail("list", prefix, err))
				return
			}
			if name, ok := listed(dir, e); ok && !yield(name, nil) {
				return
			}
		}
	}
}

func (d *DirStore) folder(ctx context.Context, prefix string) (string, error) {
	if prefix == "" {
		return d.dir, ctxError(ctx, "list", prefix)
	}
	return d.start(ctx, "list", strings.TrimSuffix(prefix, "/"))
}

// listed gives the name that List shows for e, if it shows one.
func listed(dir string, e fs.DirEntry) (string, bool) {
	name, ok := unescape(e.Name())
	switch {
	case !ok:
		return "", false
	case e.IsDir():
		return name + "/", holdsRecord(filepath.Join(dir, e.Name()))
	}
	return name, e.Type().IsRegular()
}

func holdsRecord(dir string) bool {
	for e, err := range entries(dir) {
		if err != nil {
			return false
		}
		if _, ok := listed(dir, e); ok {
			return true
		}
	}
	return false
}

// entries streams a directory; one that is not there is empty.
func entries(dir string) iter.Seq2[fs.DirEntry, error] {
	const batch = 1024
	return func(yield func(fs.DirEntry, error) bool) {
		f, err := os.Open(dir)
		if errors.Is(err, fs.ErrNotExist) {
			return
		}
		if err != nil {
			yield(nil, err)
			return
		}
		defer f.Close()
		for {
			some, err := f.ReadDir(batch)
			for _, e := range some {
				if !yield(e, nil) {
					return
				}
			}
			if err == io.EOF {
				return
			}
			if err != nil {
				yield(nil, err)
				return
			}
		}
	}
}

// Fetch gives the file's own path.
func (d *DirStore) Fetch(ctx context.Context, key string) (string, error) {
	path, err := d.start(ctx, "fetch", key)
	if err != nil {
		return "", err
	}
	info, err := os.Lstat(path)
	if err != nil {
		return "", d.fail("fetch", key, err)
	}
	if !info.Mode().IsRegular() {
		return "", &manifest.Error{Kind: manifest.KindCorrupt, Op: "fetch", Ref: path, Msg: "not a regular file"}
	}
	return path, nil
}

// start is the common beginning of the operations on a key: its path.
func (d *DirStore) start(ctx context.Context, op, key string) (string, error) {
	if err := ctxError(ctx, op, key); err != nil {
		return "", err
	}
	return d.path(op, key)
}

func ctxError(ctx context.Context, op, key string) error {
	if err := ctx.Err(); err != nil {
		return &manifest.Error{Kind: manifest.KindOf(err), Op: op, Ref: key, Err: err}
	}
	return nil
}
