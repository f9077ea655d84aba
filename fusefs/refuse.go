package fusefs

import (
	"syscall"

	"github.com/hanwen/go-fuse/v2/fuse"
)

// What the kernel may ask and pinfs refuses. The mount is read-only, so the
// kernel refuses all writing itself; the answers here are for a mount that
// somebody remounted. Not here, and thus ENOSYS on purpose, once: ACCESS
// (default_permissions checks), LSEEK (the kernel knows the size: no holes),
// STATX (GETATTR has it all), COPY_FILE_RANGE (the kernel copies), FSYNC and
// locks (the kernel's own).

func (f *fileSystem) readOnly() fuse.Status {
	f.count.other.Add(1)
	return fuse.EROFS
}

// SetAttr is refused: EROFS.
func (f *fileSystem) SetAttr(<-chan struct{}, *fuse.SetAttrIn, *fuse.AttrOut) fuse.Status {
	return f.readOnly()
}

// Mknod is refused: EROFS.
func (f *fileSystem) Mknod(<-chan struct{}, *fuse.MknodIn, string, *fuse.EntryOut) fuse.Status {
	return f.readOnly()
}

// Mkdir is refused: EROFS.
func (f *fileSystem) Mkdir(<-chan struct{}, *fuse.MkdirIn, string, *fuse.EntryOut) fuse.Status {
	return f.readOnly()
}

// Unlink is refused: EROFS.
func (f *fileSystem) Unlink(<-chan struct{}, *fuse.InHeader, string) fuse.Status {
	return f.readOnly()
}

// Rmdir is refused: EROFS.
func (f *fileSystem) Rmdir(<-chan struct{}, *fuse.InHeader, string) fuse.Status {
	return f.readOnly()
}

// Rename is refused: EROFS.
func (f *fileSystem) Rename(<-chan struct{}, *fuse.RenameIn, string, string) fuse.Status {
	return f.readOnly()
}

// Link is refused: EROFS.
func (f *fileSystem) Link(<-chan struct{}, *fuse.LinkIn, string, *fuse.EntryOut) fuse.Status {
	return f.readOnly()
}

// Symlink is refused: EROFS.
func (f *fileSystem) Symlink(<-chan struct{}, *fuse.InHeader, string, string, *fuse.EntryOut) fuse.Status {
	return f.readOnly()
}

// SetXAttr is refused: EROFS.
func (f *fileSystem) SetXAttr(<-chan struct{}, *fuse.SetXAttrIn, string, []byte) fuse.Status {
	return f.readOnly()
}

// RemoveXAttr is refused: EROFS.
func (f *fileSystem) RemoveXAttr(<-chan struct{}, *fuse.InHeader, string) fuse.Status {
	return f.readOnly()
}

// Create is refused: EROFS.
func (f *fileSystem) Create(<-chan struct{}, *fuse.CreateIn, string, *fuse.CreateOut) fuse.Status {
	return f.readOnly()
}

// Tmpfile is refused: EROFS.
func (f *fileSystem) Tmpfile(<-chan struct{}, *fuse.CreateIn, *fuse.CreateOut) fuse.Status {
	return f.readOnly()
}

// Write is refused: EROFS.
func (f *fileSystem) Write(<-chan struct{}, *fuse.WriteIn, []byte) (uint32, fuse.Status) {
	return 0, f.readOnly()
}

// Writev is refused: EROFS.
func (f *fileSystem) Writev(<-chan struct{}, *fuse.WriteIn, [][]byte) (uint32, fuse.Status) {
	return 0, f.readOnly()
}

// Fallocate is refused: EROFS.
func (f *fileSystem) Fallocate(<-chan struct{}, *fuse.FallocateIn) fuse.Status {
	return f.readOnly()
}

// Ioctl is refused as by a file system that has none.
func (f *fileSystem) Ioctl(<-chan struct{}, *fuse.IoctlIn, []byte, *fuse.IoctlOut, []byte) fuse.Status {
	f.count.other.Add(1)
	return fuse.Status(syscall.ENOTTY)
}

// Statx is refused, once.
func (f *fileSystem) Statx(<-chan struct{}, *fuse.StatxIn, *fuse.StatxOut) fuse.Status {
	f.count.other.Add(1)
	return fuse.ENOSYS
}
