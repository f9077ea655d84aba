package fusefs

import (
	"strconv"
	"strings"
	"syscall"

	"github.com/hanwen/go-fuse/v2/fuse"
	"github.com/pinfs/pinfs/manifest"
	"github.com/pinfs/pinfs/manifest/snapshot"
)

// The extended attributes. Files have all but Error, which is there when the
// last try to get the object failed, and Unpinned; directories of a version have
// Artifact, its root also Digest (the version's). Cached is in bytes, Verified 0 or
// 1. Unpinned is on files and directories that the version does not pin, and is
// the reference that it records.
const (
	XattrRef      = "user.pinfs.ref"
	XattrDigest   = "user.pinfs.digest"
	XattrPin      = "user.pinfs.pin"
	XattrArtifact = "user.pinfs.artifact"
	XattrCached   = "user.pinfs.cached"
	XattrVerified = "user.pinfs.verified"
	XattrError    = "user.pinfs.error"
	XattrUnpinned = "user.pinfs.unpinned"
)

type xattr struct{ name, value string }

// GetXAttr gives one attribute. What is not there is ENODATA, never ENOSYS, after
// which the kernel would not ask for any attribute again. Namespaces other than
// user have no attributes here, which is ENOTSUP: ls -l asks for security.selinux
// of each file until it hears that.
func (f *fileSystem) GetXAttr(cancel <-chan struct{}, h *fuse.InHeader, name string, dest []byte) (uint32, fuse.Status) {
	f.count.xattr.Add(1)
	switch {
	case !strings.HasPrefix(name, "user."):
		return 0, fuse.Status(syscall.ENOTSUP)
	case !strings.HasPrefix(name, "user.pinfs."):
		return 0, fuse.ENODATA
	}
	all, status := f.xattrs(cancel, h)
	if !status.Ok() {
		return 0, status
	}
	for _, x := range all {
		if x.name == name {
			return fillXattr(dest, x.value)
		}
	}
	return 0, fuse.ENODATA
}

// ListXAttr gives the names of the attributes, each ended by a zero byte.
func (f *fileSystem) ListXAttr(cancel <-chan struct{}, h *fuse.InHeader, dest []byte) (uint32, fuse.Status) {
	f.count.xattr.Add(1)
	all, status := f.xattrs(cancel, h)
	if !status.Ok() {
		return 0, status
	}
	var names []byte
	for _, x := range all {
		names = append(append(names, x.name...), 0)
	}
	return fillXattr(dest, string(names))
}

// fillXattr copies an answer; a buffer that is too small gets the size needed.
func fillXattr(dest []byte, value string) (uint32, fuse.Status) {
	if len(dest) < len(value) {
		return uint32(len(value)), fuse.ERANGE
	}
	return uint32(copy(dest, value)), fuse.OK
}

func (f *fileSystem) xattrs(cancel <-chan struct{}, h *fuse.InHeader) ([]xattr, fuse.Status) {
	n, s, err := f.slotOf(h.NodeId)
	if err != nil {
		return nil, f.fail("", err)
	}
	if s.Kind != SlotVersion {
		return nil, fuse.OK
	}
	held, err := f.tree(cancel, h, n, s)
	if err != nil {
		return nil, f.fail(s.path(""), err)
	}
	defer f.trees.release(held)
	rec, err := held.tree.Snapshot.Node(n.index)
	if err != nil {
		return nil, f.fail(s.path(""), err)
	}
	artifact := xattr{XattrArtifact, held.tree.Project + "/" + held.tree.Name}
	switch {
	case n.index == 0:
		return []xattr{artifact, {XattrDigest, held.tree.Snapshot.Summary().Digest}}, fuse.OK
	case rec.Dir:
		return held.unpinned([]xattr{artifact}, rec, ""), fuse.OK
	}
	return f.fileXattrs(held, rec, artifact)
}

func (f *fileSystem) fileXattrs(held *heldTree, rec snapshot.Node, artifact xattr) ([]xattr, fuse.Status) {
	obj, err := held.tree.Snapshot.Object(rec.Index)
	if err != nil {
		return nil, f.fail(held.path(rec), err)
	}
	cached, verified, last := f.o.Content.Inspect(obj)
	flag := "0"
	if verified {
		flag = "1"
	}
	all := []xattr{
		artifact, {XattrRef, obj.Ref}, {XattrDigest, obj.Digest}, {XattrPin, obj.Pin.String()},
		{XattrCached, strconv.FormatInt(cached, 10)}, {XattrVerified, flag},
	}
	if last != nil {
		all = append(all, xattr{XattrError, last.Error()})
	}
	ref := ""
	if obj.Pin.Kind == manifest.PinNone {
		ref = obj.Ref
	}
	return held.unpinned(all, rec, ref), fuse.OK
}

// unpinned adds XattrUnpinned for rec, if it is not pinned: ref, or the reference
// by which it was found.
func (h *heldTree) unpinned(all []xattr, rec snapshot.Node, ref string) []xattr {
	if ref == "" && h.tree.Unpinned != nil {
		if path, err := h.tree.Snapshot.Path(rec.Index); err == nil {
			ref = h.tree.Unpinned(path)
		}
	}
	if ref == "" {
		return all
	}
	return append(all, xattr{XattrUnpinned, ref})
}
