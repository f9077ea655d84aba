package storetest

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sync/errgroup"

	"github.com/pinfs/pinfs/registry"
	"github.com/pinfs/pinfs/testwarden"
)

// childEnv holds the location when the test binary runs as a writer.
const childEnv = "PINFS_STORETEST_LOCATION"

// Main is for TestMain: in a process that Run started it writes and does not
// return; else it returns at once.
func Main(open Opener) {
	location, ok := os.LookupEnv(childEnv)
	if !ok {
		return
	}
	won, err := child(open, location)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println(won)
	os.Exit(0)
}

func child(open Opener, location string) (won int, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), deadline)
	defer cancel()
	s, err := open(location)
	if err != nil {
		return 0, err
	}
	defer s.Close()
	if won, err = createAll(ctx, s, strconv.Itoa(os.Getpid())); err != nil {
		return won, err
	}
	return won, incrementAll(ctx, s)
}

const processes = 4

func testProcesses(t *testing.T, ctx context.Context, f Fixture, s registry.Store) {
	must(t, s.PutIfAbsent(ctx, "counter", []byte("0")))
	self, err := os.Executable()
	must(t, err)
	won := make([]int, processes)
	g, gctx := errgroup.WithContext(ctx)
	for i := range processes {
		g.Go(func() error {
			c := testwarden.Command(gctx, self)
			c.Env = append(os.Environ(), childEnv+"="+f.Location(t))
			c.Stderr = t.Output()
			out, err := c.Output()
			if err != nil {
				return fmt.Errorf("writer: %w", err)
			}
			won[i], err = strconv.Atoi(strings.TrimSpace(string(out)))
			return err
		})
	}
	must(t, g.Wait())
	total := 0
	for _, n := range won {
		total += n
	}
	if total != keys {
		t.Errorf("%d creations succeeded for %d keys: %v", total, keys, won)
	}
	wantRecord(t, ctx, s, "counter", []byte(strconv.Itoa(processes*rounds)))
}
