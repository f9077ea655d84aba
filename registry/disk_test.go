package registry_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/pinfs/pinfs/manifest"
	"github.com/pinfs/pinfs/registry"
)

// TestFullAndReadOnlyDisk needs a small file system of its own: a tmpfs in a user
// and mount namespace, which takes no root.
func TestFullAndReadOnlyDisk(t *testing.T) {
	c := role(t.Context(), t, roleFull, t.TempDir())
	c.SysProcAttr = &syscall.SysProcAttr{
		Setpgid:     true,
		Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNS,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}},
	}
	if err := c.Run(); err != nil {
		t.Fatalf("%v (user namespaces must be allowed: sysctl kernel.unprivileged_userns_clone)", err)
	}
}

func playFull(ctx context.Context, dir string) error {
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=128k"); err != nil {
		return fmt.Errorf("mount a tmpfs: %w", err)
	}
	r, err := openRegistry(ctx, dir)
	if err != nil {
		return err
	}
	v0, _, err := commitText(ctx, r, "zero")
	if err != nil {
		return err
	}
	if err := fill(filepath.Join(dir, "filler")); err != nil {
		return err
	}
	s := registry.NewDirStore(dir)
	err = s.PutIfAbsent(ctx, "k", make([]byte, 100_000))
	if err := expect(err, manifest.KindOther, unix.ENOSPC, "disk is full", "free space in "+dir); err != nil {
		return err
	}
	if left, err := os.ReadDir(filepath.Join(dir, ".tmp")); err != nil || len(left) > 0 {
		return fmt.Errorf("left in .tmp: %v, error %w", left, err)
	}
	if err := unix.Mount("", dir, "", unix.MS_REMOUNT|unix.MS_RDONLY, ""); err != nil {
		return fmt.Errorf("remount: %w", err)
	}
	if err := expect(s.PutIfAbsent(ctx, "k", nil), manifest.KindDenied, unix.EROFS, "read-only", "--registry"); err != nil {
		return err
	}
	return stillReadable(ctx, dir, v0)
}

// fill writes until the disk is full.
func fill(path string) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer f.Close()
	for err == nil {
		_, err = f.Write(make([]byte, 4096))
	}
	if !errors.Is(err, unix.ENOSPC) {
		return fmt.Errorf("filling the disk: %w", err)
	}
	return nil
}

func expect(err error, kind manifest.Kind, cause error, parts ...string) error {
	if err == nil || manifest.KindOf(err) != kind || !errors.Is(err, cause) {
		return fmt.Errorf("got %v, want kind %q and %w", err, kind, cause)
	}
	for _, part := range parts {
		if !strings.Contains(err.Error(), part) {
			return fmt.Errorf("got error %q, want it to say %q", err, part)
		}
	}
	return nil
}

func stillReadable(ctx context.Context, dir string, v registry.Version) error {
	r, err := openRegistry(ctx, dir)
	if err != nil {
		return err
	}
	got, err := r.Resolve(ctx, manifest.Name{Project: "p", Artifact: "a"})
	if err != nil || got.Digest != v.Digest {
		return fmt.Errorf("got %s, error %w; want %s", got.Name(), err, v.Name())
	}
	path, err := registry.NewDirStore(dir).Fetch(ctx, "snapshots/"+v.Snapshot)
	if err != nil {
		return err
	}
	_, err = os.ReadFile(path)
	return err
}

// TestWithoutPermission: as root, permissions mean nothing, so another user tries.
func TestWithoutPermission(t *testing.T) {
	dir := t.TempDir()
	r, err := openRegistry(t.Context(), dir)
	must(t, err)
	_, _, err = commitText(t.Context(), r, "zero")
	must(t, err)
	for path := dir; path != os.TempDir() && path != "/"; path = filepath.Dir(path) {
		must(t, os.Chmod(path, 0o755))
	}
	must(t, os.MkdirAll(filepath.Join(dir, "projects/closed"), 0o777))
	must(t, os.Chmod(filepath.Join(dir, "projects/closed"), 0))
	t.Cleanup(func() {
		_ = os.Chmod(filepath.Join(dir, "projects/closed"), 0o700)
		_ = os.Chmod(dir, 0o700)
	})
	must(t, os.Chmod(filepath.Join(dir, ".tmp"), 0o555))
	must(t, os.Chmod(dir, 0o555))
	c := role(t.Context(), t, roleDenied, dir)
	if os.Getuid() == 0 {
		c.Path = openBinary(t, c.Path)
		c.SysProcAttr.Credential = &syscall.Credential{Uid: 65534, Gid: 65534}
	}
	must(t, c.Run())
}

// openBinary gives a link to the test binary where any user can run it.
func openBinary(t *testing.T, self string) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "pinfs-test")
	must(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	must(t, os.Chmod(dir, 0o755))
	data, err := os.ReadFile(self)
	must(t, err)
	path := filepath.Join(dir, "test")
	must(t, os.WriteFile(path, data, 0o755))
	return path
}

func playDenied(ctx context.Context, dir string) error {
	s := registry.NewDirStore(dir)
	if err := expect(s.PutIfAbsent(ctx, "k", nil), manifest.KindDenied, unix.EACCES, "permission", dir); err != nil {
		return err
	}
	_, _, err := s.Get(ctx, "projects/closed/a/versions/0.json")
	if err := expect(err, manifest.KindDenied, unix.EACCES); err != nil {
		return err
	}
	r, err := openRegistry(ctx, dir)
	if err != nil {
		return err
	}
	v, err := r.Resolve(ctx, manifest.Name{Project: "p", Artifact: "a"})
	if err != nil {
		return err
	}
	return stillReadable(ctx, dir, v)
}
