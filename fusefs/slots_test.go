package fusefs_test

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/pinfs/pinfs/fusefs"
	"github.com/pinfs/pinfs/manifest"
	"pgregory.net/rapid"
)

func TestReplayGivesTheSameNumbers(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var journal bytes.Buffer
		slots := fusefs.NewSlots(func(rec []byte) error { journal.Write(rec); return nil })
		numbers := map[fusefs.Slot]uint32{}
		for range rapid.IntRange(0, 30).Draw(t, "n") {
			s := drawSlot(t)
			n, err := slots.Number(s)
			if err != nil {
				t.Fatal(err)
			}
			if old, ok := numbers[s]; ok && old != n {
				t.Fatalf("%v is %d, was %d", s, n, old)
			}
			numbers[s] = n
		}
		torn := rapid.SampledFrom([]string{"", "{", `{"slot":99,"kind":"version"}`}).Draw(t, "torn")
		whole := int64(journal.Len())
		again, good, err := fusefs.ReplaySlots(strings.NewReader(journal.String()+torn), nil)
		if err != nil || good != whole {
			t.Fatalf("replay: %v, %d good bytes, want %d", err, good, whole)
		}
		for s, want := range numbers {
			if n, ok := again.Find(s); !ok || n != want {
				t.Errorf("%v is %d, was %d", s, n, want)
			}
			if back, ok := again.Slot(want); !ok || back != s {
				t.Errorf("%d is %v, was %v", want, back, s)
			}
		}
		if again.Len() != slots.Len() {
			t.Errorf("%d slots, were %d", again.Len(), slots.Len())
		}
	})
}

func drawSlot(t *rapid.T) fusefs.Slot {
	word := rapid.SampledFrom([]string{"a", "b", "ü\"\n"})
	switch rapid.IntRange(0, 2).Draw(t, "kind") {
	case 0:
		return fusefs.Slot{Kind: fusefs.SlotProject, Project: word.Draw(t, "project")}
	case 1:
		return fusefs.Slot{Kind: fusefs.SlotAlias, Project: word.Draw(t, "project"), Name: word.Draw(t, "name"), Target: word.Draw(t, "target")}
	}
	return fusefs.Slot{Kind: fusefs.SlotVersion, Project: word.Draw(t, "project"), Name: word.Draw(t, "name"), Digest: word.Draw(t, "digest")}
}

func TestSlotIsJournaledBeforeItIsGiven(t *testing.T) {
	full := errors.New("disk full")
	slots := fusefs.NewSlots(func([]byte) error { return full })
	s := fusefs.Slot{Kind: fusefs.SlotProject, Project: "p"}
	if _, err := slots.Number(s); !errors.Is(err, full) {
		t.Errorf("%v, want %v", err, full)
	}
	if _, ok := slots.Find(s); ok || slots.Len() != 1 {
		t.Error("a slot that is not in the journal was given out")
	}
}

func TestDamagedJournal(t *testing.T) {
	for _, text := range []string{"x\n", `{"slot":2,"kind":"project"}` + "\n", `{"slot":1,"kind":"project","project":"p"}` + "\n" + `{"slot":1,"kind":"project","project":"q"}` + "\n"} {
		if _, _, err := fusefs.ReplaySlots(strings.NewReader(text), nil); manifest.KindOf(err) != manifest.KindCorrupt {
			t.Errorf("%q: %v, want KindCorrupt", text, err)
		}
	}
}

func TestSlotsFromManyGoroutines(t *testing.T) {
	var lines int
	slots := fusefs.NewSlots(func([]byte) error { lines++; return nil }) // calls come one at a time
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			for i := range 100 {
				if _, err := slots.Number(fusefs.Slot{Kind: fusefs.SlotProject, Project: fmt.Sprint((i + g) % 100)}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if slots.Len() != 101 || lines != 100 {
		t.Errorf("%d slots, %d lines; want 101 and 100", slots.Len(), lines)
	}
}

func TestIdsSurviveTheProcess(t *testing.T) {
	s, mem := museum(t)
	var journal bytes.Buffer
	slots := fusefs.NewSlots(func(rec []byte) error { journal.Write(rec); return nil })
	paths := []string{"/vision", "/vision/mnist:latest", "/vision/mnist:v1/train/0", "/text/wiki:v7/a", "/vision/mnist:v0/train"}
	ids := func(o fusefs.Options, order []string) map[string]uint64 {
		m := mount(t, o)
		defer unmount(t, m)
		all := map[string]uint64{}
		for _, path := range order {
			all[path] = inode(t, m.Dir()+path)
		}
		return all
	}
	first := ids(fusefs.Options{Content: mem, Names: s, Slots: slots}, paths)
	again, _, err := fusefs.ReplaySlots(&journal, nil)
	must(t, err)
	reverse := []string{paths[4], paths[3], paths[2], paths[1], paths[0]}
	second := ids(fusefs.Options{Content: mem, Names: s, Slots: again}, reverse)
	for path, want := range first {
		if second[path] != want {
			t.Errorf("%s has id %d, had %d", path, second[path], want)
		}
	}
}
