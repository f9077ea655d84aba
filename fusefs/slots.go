package fusefs

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"sync"
	"sync/atomic"

	"github.com/pinfs/pinfs/manifest"
)

// SlotKind tells what a slot stands for.
type SlotKind string

// The kinds of slots.
const (
	SlotProjects SlotKind = "projects" // slot 0: the list of projects
	SlotProject  SlotKind = "project"  // the list of names of a project
	SlotVersion  SlotKind = "version"  // a version; the only kind with more than one node
	SlotAlias    SlotKind = "alias"    // an alias as long as it has one target
)

// maxSlots keeps node ids positive as signed numbers. A slot costs about 200
// bytes; there is one for each version, project and alias position in use.
const maxSlots = math.MaxInt32

// Slot is one entry of the slot table. Equal Slots have one number.
type Slot struct {
	Kind    SlotKind `json:"kind"`
	Project string   `json:"project,omitempty"`
	Name    string   `json:"name,omitempty"`   // of versions and aliases: "mnist:v3"
	Digest  string   `json:"digest,omitempty"` // of versions, see Tree.Digest
	Target  string   `json:"target,omitempty"` // of aliases, see Listed.Target
}

// Slots numbers what a mount shows. It only grows; a number never changes its
// meaning. It may be used by many goroutines.
type Slots struct {
	journal func([]byte) error

	// list is what Slot reads without a lock: nobody changes an entry, and those
	// behind its end are not looked at.
	list atomic.Pointer[[]Slot]

	mu     sync.RWMutex // guards all below, and held by who replaces list
	number map[Slot]uint32
	latest map[Slot]uint32 // key: kind, project and name only
}

// NewSlots gives a table with slot 0 only. Every new entry is given to journal,
// one line of JSON, before its number is used; nil keeps no journal.
func NewSlots(journal func(rec []byte) error) *Slots {
	t := &Slots{journal: journal, number: map[Slot]uint32{}, latest: map[Slot]uint32{}}
	t.list.Store(&[]Slot{})
	t.add(Slot{Kind: SlotProjects})
	return t
}

// ReplaySlots rebuilds the table from a journal. It also returns how many bytes
// of the journal are good: a crash can leave a torn last line, whose number was
// never used. Cut the journal there before more is appended. A damaged line
// before the last is KindCorrupt.
func ReplaySlots(r io.Reader, journal func(rec []byte) error) (*Slots, int64, error) {
	t := NewSlots(journal)
	var good int64
	lines := bufio.NewReader(r)
	for {
		line, err := lines.ReadBytes('\n')
		if err == io.EOF {
			return t, good, nil
		}
		if err != nil {
			return nil, good, fmt.Errorf("read slot journal: %w", err)
		}
		if err := t.replay(line); err != nil {
			return nil, good, err
		}
		good += int64(len(line))
	}
}

// slotRecord is a line of the journal.
type slotRecord struct {
	Number uint32 `json:"slot"`
	Slot
}

func (t *Slots) replay(line []byte) error {
	var rec slotRecord
	if err := json.Unmarshal(line, &rec); err != nil {
		return &manifest.Error{Kind: manifest.KindCorrupt, Op: "read slot journal", Err: err}
	}
	if int(rec.Number) != t.Len() {
		return &manifest.Error{Kind: manifest.KindCorrupt, Op: "read slot journal", Msg: "numbers are not in order",
			Expected: fmt.Sprint(t.Len()), Found: fmt.Sprint(rec.Number)}
	}
	t.add(rec.Slot)
	return nil
}

// Number gives the number of s, a new one if s has none yet.
func (t *Slots) Number(s Slot) (uint32, error) {
	if n, ok := t.Latest(s.Kind, s.Project, s.Name); ok {
		if same, _ := t.Slot(n); same == s {
			return n, nil
		}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if n, ok := t.number[s]; ok {
		t.latest[s.key()] = n
		return n, nil
	}
	if t.Len() > maxSlots {
		return 0, &manifest.Error{Kind: manifest.KindLimit, Op: "number", Ref: s.Name, Msg: "too many versions and aliases in one mount"}
	}
	if err := t.write(s); err != nil {
		return 0, err
	}
	return t.add(s), nil
}

func (t *Slots) write(s Slot) error {
	if t.journal == nil {
		return nil
	}
	rec, err := json.Marshal(slotRecord{uint32(t.Len()), s})
	if err != nil {
		return err
	}
	if err := t.journal(append(rec, '\n')); err != nil {
		return fmt.Errorf("append to slot journal: %w", err)
	}
	return nil
}

func (t *Slots) add(s Slot) uint32 {
	list := append(*t.list.Load(), s)
	n := uint32(len(list) - 1)
	t.list.Store(&list)
	t.number[s] = n
	t.latest[s.key()] = n
	return n
}

func (s Slot) key() Slot { return Slot{Kind: s.Kind, Project: s.Project, Name: s.Name} }

// Find gives the number of s if it has one.
func (t *Slots) Find(s Slot) (uint32, bool) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	n, ok := t.number[s]
	return n, ok
}

// Latest gives the slot that was last used for a name: where a version or alias
// of that name was when it was last seen.
func (t *Slots) Latest(kind SlotKind, project, name string) (uint32, bool) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	n, ok := t.latest[Slot{Kind: kind, Project: project, Name: name}]
	return n, ok
}

// Slot gives the entry with number n.
func (t *Slots) Slot(n uint32) (Slot, bool) {
	list := *t.list.Load()
	if int64(n) >= int64(len(list)) {
		return Slot{}, false
	}
	return list[n], true
}

// Len gives how many slots there are.
func (t *Slots) Len() int { return len(*t.list.Load()) }
