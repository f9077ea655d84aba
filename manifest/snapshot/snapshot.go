package snapshot

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"runtime/debug"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/pinfs/pinfs/manifest"
)

// Summary is what Build made, or what an open snapshot says of itself.
type Summary struct {
	// Digest is the artifact digest, see manifest.Hasher.
	Digest string
	// SHA256 of the whole file in hex; empty from Open, which doesn't read it all.
	SHA256 string
	// Files are the entries of the manifest, shadowed ones among them. Dirs are the
	// directories without the root.
	Files, Dirs int64
	// Bytes is the sum of all sizes that are known.
	Bytes int64
	// Shadowed are the files that a directory of the same path hides.
	Shadowed int64
	// UnknownSizes are the files whose size the manifest does not tell.
	UnknownSizes int64
	// Pins is a hash, in hex, over what is recorded beside the digests and changes
	// what is read or how it is checked; pins.go says what. Empty when there is no
	// such thing, as with most manifests, and from snapshots made before it was
	// there. Versions of one artifact are the same when Digest and Pins are.
	Pins string
	// Unpinned are the references whose digest is the URI itself and that nothing
	// pins, of sources that can be read: they can be looked at later.
	Unpinned int64
}

// Snapshot is an open snapshot. It may be used by many goroutines; none may be
// using it when it is closed.
type Snapshot struct {
	path string
	data []byte // the mapping
	h    *header
	meta Meta
	// checked has a bit for each chunk whose CRC was found right.
	checked []atomic.Uint64
	crcs    []byte // the section, checked by loadCRCs
	recent  recentChunks
}

var _ io.Closer = (*Snapshot)(nil)

// Open maps the snapshot at path. It reads page 0, the CRCs and the meta section
// only. Errors: that of the open (fs.ErrNotExist), KindCorrupt, or KindUnsupported
// for a format that is newer than this code.
func Open(path string) (*Snapshot, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("open snapshot: %w", err)
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("open snapshot: %w", err)
	}
	if !st.Mode().IsRegular() || st.Size() < pageSize {
		e := corrupt("not a snapshot")
		e.Ref = path
		return nil, e
	}
	s, err := mapFile(f, uint64(st.Size()))
	if err != nil {
		return nil, fmt.Errorf("open snapshot: %w", err)
	}
	if err := s.load(); err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

func mapFile(f *os.File, size uint64) (*Snapshot, error) {
	if size > 1<<46 {
		return nil, errors.New("the file is too large to be mapped")
	}
	data, err := unix.Mmap(int(f.Fd()), 0, int(size), unix.PROT_READ, unix.MAP_SHARED)
	if err != nil {
		return nil, fmt.Errorf("map %s: %w", f.Name(), err)
	}
	return &Snapshot{path: f.Name(), data: data}, nil
}

// load reads what is read at once.
func (s *Snapshot) load() (err error) {
	defer s.guard(debug.SetPanicOnFault(true), &err)
	h, bad := decodeHeader(s.data[:pageSize], uint64(len(s.data)))
	if bad != nil {
		bad.Ref = s.path
		return bad
	}
	s.h = h
	if err := s.loadCRCs(); err != nil {
		return err
	}
	raw, err := s.section(sectionMeta, 0, h.sections[sectionMeta].length)
	if err != nil {
		return err
	}
	if s.meta, err = decodeMeta(raw); err != nil {
		return s.corrupt(err.Error())
	}
	return nil
}

func (s *Snapshot) loadCRCs() error {
	sp := s.h.sections[sectionCRCs]
	s.crcs = s.data[sp.off : sp.off+sp.length]
	if checksum(s.crcs) != s.h.crcCRC {
		return s.corrupt("the section of checksums has a wrong checksum")
	}
	s.checked = make([]atomic.Uint64, (sp.length/4+63)/64)
	return nil
}

// Close unmaps the file. Nothing may use the snapshot any more.
func (s *Snapshot) Close() error {
	data := s.data
	s.data = nil
	if data == nil {
		return nil
	}
	if err := unix.Munmap(data); err != nil {
		return fmt.Errorf("close snapshot: %w", err)
	}
	return nil
}

// File gives the name by which the file was opened.
func (s *Snapshot) File() string { return s.path }

// Meta gives what the manifest says beside its entries.
func (s *Snapshot) Meta() Meta { return s.meta }

// Summary gives the totals; SHA256 is empty.
func (s *Snapshot) Summary() Summary {
	sum := s.h.totals
	sum.Digest = hex.EncodeToString(s.h.digest[:])
	sum.Pins = s.h.pinsText()
	return sum
}

// Nodes is the number of nodes: files, shadowed ones too, directories and the root.
func (s *Snapshot) Nodes() uint32 { return uint32(s.h.nodes) }

// FileSize is the length of the file in bytes.
func (s *Snapshot) FileSize() int64 { return int64(s.h.size) }

// section gives n bytes at off of a section, checked. They are in the mapping:
// they are not to leave the package, nor the reach of guard.
func (s *Snapshot) section(kind int, off, n uint64) ([]byte, error) {
	sp := &s.h.sections[kind]
	if off > sp.length || n > sp.length-off {
		return nil, s.corrupt("an offset lies outside of its section")
	}
	if n == 0 {
		return nil, nil
	}
	off += sp.off
	end := off + n
	if end > uint64(len(s.data)) {
		return nil, s.corrupt("it is closed or cut short")
	}
	for c := off >> chunkShift; c <= (end-1)>>chunkShift; c++ {
		if s.checked[c>>6].Load()&(1<<(c&63)) == 0 {
			if err := s.check(c); err != nil {
				return nil, err
			}
		}
	}
	return s.data[off:end:end], nil
}

// check checks chunk c and notes that it is right.
func (s *Snapshot) check(c uint64) error {
	from, to := max(c<<chunkShift, pageSize), min((c+1)<<chunkShift, s.h.sections[sectionCRCs].off)
	want := binary.LittleEndian.Uint32(s.crcs[4*c:])
	if got := crc32.Checksum(s.data[from:to], crc32.MakeTable(crc32.Castagnoli)); got != want {
		e := s.corrupt(fmt.Sprintf("the bytes %d to %d have a wrong checksum", from, to))
		e.Expected, e.Found = fmt.Sprintf("%08x", want), fmt.Sprintf("%08x", got)
		return e
	}
	s.checked[c>>6].Or(1 << (c & 63))
	return nil
}

func (s *Snapshot) corrupt(msg string) *manifest.Error {
	e := corrupt(msg)
	e.Ref = s.path
	return e
}

// guard is deferred by all entry points: old is the setting to restore. A fault
// in the mapping (the file was cut short, or its disk fails) becomes *err.
func (s *Snapshot) guard(old bool, err *error) {
	debug.SetPanicOnFault(old)
	if r := recover(); r != nil {
		fault, ok := r.(interface{ Addr() uintptr })
		if !ok || !s.maps(fault.Addr()) {
			panic(r)
		}
		*err = s.corrupt("the file was cut short, or can't be read")
	}
}

func (s *Snapshot) maps(addr uintptr) bool {
	start := uintptr(unsafe.Pointer(unsafe.SliceData(s.data)))
	return addr >= start && addr < start+uintptr(len(s.data))
}
