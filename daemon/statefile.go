package daemon

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/pinfs/pinfs/fusefs"
	"github.com/pinfs/pinfs/manifest"
	"github.com/pinfs/pinfs/registry/expand"
)

// stateFile is what another process needs to know of a mount: lines of JSON in memory
// that lives as long as somebody has the file. It is only appended to.
type stateFile struct {
	mu   sync.Mutex // one line at a time
	file *os.File
}

func newStateFile() (*stateFile, error) {
	fd, err := unix.MemfdCreate("pinfs-state", unix.MFD_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("state of the mount: %w", err)
	}
	return &stateFile{file: os.NewFile(uintptr(fd), "pinfs-state")}, nil
}

// stateRecord is a line of a stateFile; one field is set.
type stateRecord struct {
	Mount  *mountRecord       `json:"mount,omitempty"` // the first line
	Begun  *fusefs.MountState `json:"begun,omitempty"` // the second
	Slot   json.RawMessage    `json:"slot,omitempty"`
	Found  *foundRecord       `json:"found,omitempty"`
	Pinned *pinnedRecord      `json:"pinned,omitempty"`
}

// mountRecord is what a mount shows.
type mountRecord struct {
	Dir     string       `json:"dir"`
	Request MountRequest `json:"request"`
	Ref     string       `json:"ref"`
	Open    string       `json:"open"`
	OpenWhy string       `json:"open_why,omitempty"`
	Since   time.Time    `json:"since"`
	Tree    *treeRecord  `json:"tree,omitempty"` // of a mount of one version
}

// treeRecord is a fusefs.Tree without its snapshot.
type treeRecord struct {
	Project string    `json:"project"`
	Name    string    `json:"name"`
	Digest  string    `json:"digest"`
	Created time.Time `json:"created"`
}

// foundRecord is an expand.Found.
type foundRecord struct {
	Key        string            `json:"key"`
	Path       string            `json:"path"`
	References []referenceRecord `json:"references"`
}

// referenceRecord is an expand.Reference.
type referenceRecord struct {
	Path    string     `json:"path"`
	Ref     string     `json:"ref"`
	Time    time.Time  `json:"time"`
	Dir     bool       `json:"dir,omitempty"`
	Objects int64      `json:"objects"`
	LeftOut int64      `json:"left_out,omitempty"`
	Error   *wireError `json:"error,omitempty"`
}

func newFoundRecord(f expand.Found) *foundRecord {
	rec := &foundRecord{Key: f.Key, Path: f.Path}
	for _, r := range f.References {
		rec.References = append(rec.References, newReferenceRecord(r))
	}
	return rec
}

func newReferenceRecord(r expand.Reference) referenceRecord {
	rec := referenceRecord{Path: r.Path, Ref: r.Ref, Time: r.Time, Dir: r.Dir, Objects: r.Objects, LeftOut: r.LeftOut}
	if r.Err != nil {
		rec.Error = toWire(r.Err)
	}
	return rec
}

func (r referenceRecord) reference() expand.Reference {
	ref := expand.Reference{Path: r.Path, Ref: r.Ref, Time: r.Time, Dir: r.Dir, Objects: r.Objects, LeftOut: r.LeftOut}
	if r.Error != nil {
		ref.Err = r.Error.fromWire()
	}
	return ref
}

// pinnedRecord is an expand.Pinned. The kind of a pin goes by its word, since its
// number may differ between builds.
type pinnedRecord struct {
	Ref       string `json:"ref"`
	To        string `json:"to"`
	PinKind   string `json:"pin_kind"`
	Pin       string `json:"pin"`
	Digest    string `json:"digest"`
	Size      int64  `json:"size"`
	Checksums string `json:"checksums,omitempty"`
}

func (s *stateFile) add(r stateRecord) error {
	line, err := json.Marshal(r)
	if err != nil {
		return fmt.Errorf("state of the mount: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, err := s.file.Write(append(line, '\n')); err != nil {
		return fmt.Errorf("state of the mount: %w", err)
	}
	return nil
}

// keptMount is what a stateFile says.
type keptMount struct {
	mount  mountRecord
	begun  fusefs.MountState
	slots  bytes.Buffer // for fusefs.ReplaySlots
	found  []expand.Found
	pinned []expand.Pinned
}

// maxState bounds a state file, in bytes: 2,000,000 slots.
const maxState = 512 << 20

// readState reads what another process wrote. A last line that it could not complete
// was of no use to anybody yet, and is cut off.
func readState(f *os.File) (*keptMount, error) {
	text, err := io.ReadAll(io.NewSectionReader(f, 0, maxState))
	if err != nil {
		return nil, fmt.Errorf("read state: %w", err)
	}
	good := bytes.LastIndexByte(text, '\n') + 1
	k := &keptMount{}
	for line := range bytes.Lines(text[:good]) {
		var r stateRecord
		if err := json.Unmarshal(line, &r); err != nil {
			return nil, &manifest.Error{Kind: manifest.KindCorrupt, Op: "read state", Err: err}
		}
		k.add(r)
	}
	if err := f.Truncate(int64(good)); err != nil {
		return nil, fmt.Errorf("read state: %w", err)
	}
	_, err = f.Seek(int64(good), io.SeekStart)
	return k, err
}

func (k *keptMount) add(r stateRecord) {
	switch {
	case r.Mount != nil:
		k.mount = *r.Mount
	case r.Begun != nil:
		k.begun = *r.Begun
	case r.Slot != nil:
		k.slots.Write(append(bytes.TrimSpace(r.Slot), '\n'))
	case r.Found != nil:
		k.found = append(k.found, r.Found.found())
	case r.Pinned != nil:
		k.pinned = append(k.pinned, r.Pinned.pinned())
	}
}

func (r *foundRecord) found() expand.Found {
	f := expand.Found{Key: r.Key, Path: r.Path}
	for _, kept := range r.References {
		f.References = append(f.References, kept.reference())
	}
	return f
}

func newPinnedRecord(p expand.Pinned) *pinnedRecord {
	o := p.Object
	return &pinnedRecord{Ref: p.Ref, To: o.Ref, PinKind: o.Pin.Kind.String(), Pin: o.Pin.Value,
		Digest: o.Digest, Size: o.Size, Checksums: o.Checksums}
}

func (r *pinnedRecord) pinned() expand.Pinned {
	return expand.Pinned{Ref: r.Ref, Object: manifest.Object{Ref: r.To, Pin: manifest.Pin{Kind: pinKindOf(r.PinKind), Value: r.Pin},
		Digest: r.Digest, Size: r.Size, Checksums: r.Checksums}}
}

// pinKindOf is the kind that its word stands for.
func pinKindOf(word string) manifest.PinKind {
	for k := manifest.PinMD5; k <= manifest.PinGeneration; k++ {
		if k.String() == word {
			return k
		}
	}
	return manifest.PinNone
}
