package fusefs

import (
	"fmt"
	"os"
	"unsafe"

	"github.com/pinfs/pinfs/manifest"
	"golang.org/x/sys/unix"
)

// sharedMemory is what a process must know of a mount beside MountState and the slots, and
// what changes too often to be written anywhere: in memory that outlives it. The bytes
// are in the host's order, since they never leave it.
type sharedMemory struct {
	magic    uint64
	opens    tableMemory
	requests askedMemory
}

const memoryMagic = 0x706e_6673_6d65_0001 // "pnfsme", 1

// NewMemory makes a file for Options.Memory: memory that lives as long as somebody has it
// open. What is not used of it costs nothing.
func NewMemory() (*os.File, error) {
	fd, err := unix.MemfdCreate("pinfs-memory", unix.MFD_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("memory of the mount: %w", err)
	}
	f := os.NewFile(uintptr(fd), "pinfs-memory")
	if err := f.Truncate(int64(unsafe.Sizeof(sharedMemory{}))); err != nil {
		f.Close()
		return nil, fmt.Errorf("memory of the mount: %w", err)
	}
	return f, nil
}

// mapMemory gives what is in f, which stays the caller's; nil without f.
func mapMemory(f *os.File) (*sharedMemory, error) {
	if f == nil {
		return nil, nil
	}
	size := int(unsafe.Sizeof(sharedMemory{}))
	if st, err := f.Stat(); err != nil || st.Size() != int64(size) {
		return nil, &manifest.Error{Kind: manifest.KindCorrupt, Op: "memory of the mount", Msg: "it has another size", Err: err}
	}
	raw, err := unix.Mmap(int(f.Fd()), 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return nil, fmt.Errorf("memory of the mount: %w", err)
	}
	mem := (*sharedMemory)(unsafe.Pointer(unsafe.SliceData(raw)))
	switch mem.magic {
	case 0:
		mem.magic = memoryMagic
	case memoryMagic:
	default:
		mem.unmap()
		return nil, &manifest.Error{Kind: manifest.KindCorrupt, Op: "memory of the mount", Msg: "it has another format"}
	}
	return mem, nil
}

func (m *sharedMemory) unmap() {
	if m != nil {
		_ = unix.Munmap(unsafe.Slice((*byte)(unsafe.Pointer(m)), unsafe.Sizeof(*m))) // fails only for what is no mapping
	}
}
