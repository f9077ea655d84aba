package cache

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

const (
	// mapsFrom is the size from which on buffers are mapped.
	mapsFrom = 64 << 10
	// hugePage is the kernel's large page, on the hosts that have one of its size.
	hugePage = 2 << 20
	// pageSize is what O_DIRECT asks of memory, offsets and lengths at most, on
	// the file systems that caches are on; one that wants more refuses (see content).
	pageSize = 4096
)

// newBuffer makes a buffer of class bytes. One of 2 MiB and more lies on large
// pages where the host has them to give: its bytes are contiguous in memory, so
// that the disk takes them in a few pieces instead of one per 4 KiB. That is three
// times the speed of O_DIRECT here, at a third of the CPU.
func newBuffer(class int64) ([]byte, error) {
	switch {
	case class < mapsFrom:
		return make([]byte, class), nil
	case class < hugePage:
		return mapped(class)
	}
	raw, err := mapped(class + hugePage)
	if err != nil {
		return nil, err
	}
	head := -int64(uintptr(unsafe.Pointer(unsafe.SliceData(raw)))) & (hugePage - 1)
	buf := raw[head : head+class : head+class]
	unmap(raw[:head])
	unmap(raw[head+class:])
	_ = unix.Madvise(buf, unix.MADV_HUGEPAGE) // a kernel without keeps small pages
	return buf, nil
}

// mapped goes around unix.Mmap, which frees only whole mappings.
func mapped(n int64) ([]byte, error) {
	p, err := unix.MmapPtr(-1, 0, nil, uintptr(n), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
	if err != nil {
		return nil, err
	}
	return unsafe.Slice((*byte)(p), n), nil
}

// unmap fails only for what is no mapping.
func unmap(b []byte) {
	if len(b) > 0 {
		_ = unix.MunmapPtr(unsafe.Pointer(unsafe.SliceData(b)), uintptr(len(b)))
	}
}

func freeBuffer(buf []byte) {
	if cap(buf) >= mapsFrom {
		unmap(buf[:cap(buf)])
	}
}

// aligned tells whether b begins at a page.
func aligned(b []byte) bool {
	return uintptr(unsafe.Pointer(unsafe.SliceData(b)))%pageSize == 0
}
