package download_test

import (
	"context"
	"crypto/md5"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/pinfs/pinfs/backends/memstore"
	"github.com/pinfs/pinfs/manifest"
	"github.com/pinfs/pinfs/manifest/snapshot"
	"github.com/pinfs/pinfs/registry/download"
	"github.com/pinfs/pinfs/testwarden"
)

// fullEnv holds the directory when the test binary runs as TestFullDisk's child.
const fullEnv = "PINFS_DOWNLOAD_TEST_FULL"

// TestFullDisk needs a small file system of its own: a tmpfs in a user and mount
// namespace, which takes no root.
func TestFullDisk(t *testing.T) {
	self, err := os.Executable()
	must(t, err)
	c := testwarden.Command(t.Context(), self)
	c.Env = append(os.Environ(), fullEnv+"="+t.TempDir())
	c.SysProcAttr = &syscall.SysProcAttr{
		Setpgid:     true,
		Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNS,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}},
	}
	if out, err := c.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s (user namespaces must be allowed: sysctl kernel.unprivileged_userns_clone)", err, out)
	}
}

func playFull(dir string) int {
	for _, sizes := range [][]int{{100, 300_000}, {50_000, 50_000, 50_000, 50_000, 50_000}, {100, 100_000, 200_000}} {
		if err := fullDisk(dir, sizes); err != nil {
			fmt.Fprintln(os.Stderr, sizes, err)
			return 1
		}
	}
	return 0
}

// fullDisk gets files of sizes onto a disk of 128 KiB.
func fullDisk(dir string, sizes []int) error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	mem := memstore.New()
	defer mem.Close()
	tmp, err := os.MkdirTemp("", "pinfs-full")
	if err != nil {
		return err
	}
	defer os.RemoveAll(tmp)
	b, err := snapshot.NewBuilder(snapshot.BuilderOptions{TempDir: tmp, Meta: snapshot.Meta{Header: manifest.DefaultHeader(), ExactSizes: true}})
	if err != nil {
		return err
	}
	for i, size := range sizes {
		key := fmt.Sprint("b/", i)
		data := []byte(random(size))
		mem.Put(key, data)
		etag := fmt.Sprintf("%x", md5.Sum(data))
		if err := b.Add(manifest.Entry{Path: fmt.Sprint(i), Ref: "mem://" + key, Digest: etag, Size: int64(size)}); err != nil {
			return err
		}
	}
	if _, err := b.Build(ctx, filepath.Join(tmp, "s")); err != nil {
		return err
	}
	s, err := snapshot.Open(filepath.Join(tmp, "s"))
	if err != nil {
		return err
	}
	defer s.Close()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=128k"); err != nil {
		return fmt.Errorf("mount a tmpfs: %w", err)
	}
	defer unix.Unmount(dir, 0) //nolint:errcheck // the namespace ends anyway
	return wantFull(ctx, dir, download.GetOptions{Snapshot: s, Backend: mem, Root: filepath.Join(dir, "root"), PartSize: 16 << 10})
}

func wantFull(ctx context.Context, dir string, o download.GetOptions) error {
	r, err := download.Get(ctx, o)
	if !errors.Is(err, unix.ENOSPC) || !strings.Contains(err.Error(), "disk is full") || !strings.Contains(err.Error(), o.Root) {
		return fmt.Errorf("got %+v, error %w; want one that says that the disk is full", r, err)
	}
	if left, err := filepath.Glob(filepath.Join(o.Root, ".pinfs-*")); err != nil || len(left) > 0 {
		return fmt.Errorf("left: %q, error %w", left, err)
	}
	if err := unix.Mount("", dir, "", unix.MS_REMOUNT|unix.MS_RDONLY, ""); err != nil {
		return fmt.Errorf("remount: %w", err)
	}
	if _, err := download.Get(ctx, o); manifest.KindOf(err) != manifest.KindDenied || !strings.Contains(err.Error(), "read-only") {
		return fmt.Errorf("got %w, want one that says read-only", err)
	}
	return nil
}
