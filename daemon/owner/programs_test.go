package owner_test

import (
	"io"
	"os"
	"testing"

	"github.com/pinfs/pinfs/daemon/owner"
)

// program copies this binary.
func program(t *testing.T) string {
	t.Helper()
	path := t.TempDir() + "/pinfs"
	from, err := os.Open("/proc/self/exe")
	ok(t, err)
	defer from.Close()
	to, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE, 0o700)
	ok(t, err)
	_, err = io.Copy(to, from)
	ok(t, err)
	ok(t, to.Close())
	return path
}

func own(t *testing.T) string {
	t.Helper()
	path, err := os.Readlink("/proc/self/exe")
	ok(t, err)
	return path
}

// TestAgain: a worker is replaced by the program that it named, which is started from
// then on.
func TestAgain(t *testing.T) {
	other, r := program(t), start(t, nil)
	w := r.ready()
	if w.Program != own(t) {
		t.Errorf("the first worker is %s", w.Program)
	}
	w.do(order{Do: "put", Name: "a", Text: "text"})
	w.do(order{Do: "program", Name: other})
	w.exit(owner.Again)
	for range 2 {
		w = r.ready()
		if w.Program != other || len(w.Texts) != 1 || w.Texts[0] != "text" {
			t.Errorf("the next worker is %s with %v, want %s", w.Program, w.Texts, other)
		}
		w.kill()
	}
	w = r.ready()
	ok(t, os.Remove(other))
	w.kill()
	if w = r.ready(); w.Program != own(t) || len(w.Texts) != 1 {
		t.Errorf("without its file the next worker is %s with %v", w.Program, w.Texts)
	}
}

// TestAgainWithNothingKept: a planned end needs nothing to go on with.
func TestAgainWithNothingKept(t *testing.T) {
	r := start(t, nil)
	r.ready().exit(owner.Again)
	r.ready()
}

// TestBadProgram: one that never gets ready gives way to the one before it.
func TestBadProgram(t *testing.T) {
	good, bad := program(t), t.TempDir()+"/bad"
	ok(t, os.WriteFile(bad, []byte("#!/bin/sh\nexit 7\n"), 0o700))
	r := start(t, func(o *owner.Options) { o.Program = good })
	for _, path := range []string{bad, "/nowhere", t.TempDir()} {
		w := r.ready()
		if w.Program != good {
			t.Fatalf("%s runs", w.Program)
		}
		w.do(order{Do: "put", Name: "a", Text: "text"})
		w.do(order{Do: "program", Name: path})
		w.exit(owner.Again)
	}
	if w := r.ready(); w.Program != good || len(w.Names) != 3 {
		t.Errorf("%s runs with %v", w.Program, w.Names)
	}
	if n := len(r.paused()); n != 3 {
		t.Errorf("%d ends, want 3 of the program that starts", n)
	}
}

// TestUnluckyProgram: a program that was ready in between works.
func TestUnluckyProgram(t *testing.T) {
	good := program(t)
	r := start(t, func(o *owner.Options) { o.Program = good })
	w := r.ready()
	w.do(order{Do: "put", Name: "a"})
	for range 3 {
		w.kill()
		r.next().kill()
		r.next().kill()
		if w = r.ready(); w.Program != good {
			t.Fatalf("%s runs", w.Program)
		}
	}
}

// TestNoProgram: what can't be started is this program.
func TestNoProgram(t *testing.T) {
	r := start(t, func(o *owner.Options) { o.Program = "/nowhere" })
	if w := r.ready(); w.Program != own(t) {
		t.Errorf("%s runs", w.Program)
	}
	r = start(t, func(o *owner.Options) { o.Dir = "/nowhere" }) // no program starts there
	if err := r.end(); err == nil {
		t.Error("ended without an error")
	}
}
