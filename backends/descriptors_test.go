package backends_test

import (
	"syscall"
	"testing"

	"github.com/pinfs/pinfs/backends"
)

func TestKeptConns(t *testing.T) {
	var before syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &before); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = syscall.Setrlimit(syscall.RLIMIT_NOFILE, &before) }()
	for limit, want := range map[uint64]int{1024: 128, 256: 32} {
		few := syscall.Rlimit{Cur: limit, Max: before.Max}
		if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &few); err != nil {
			t.Fatal(err)
		}
		if got := backends.KeptConns(1000); got != want {
			t.Errorf("of %d descriptors: got %d, want %d", limit, got, want)
		}
		if got := backends.KeptConns(5); got != 5 {
			t.Errorf("of 5 useful ones: got %d", got)
		}
	}
}
