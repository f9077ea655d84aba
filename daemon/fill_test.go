package daemon_test

import (
	"bytes"
	"context"
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/pinfs/pinfs/backends/memstore"
	"github.com/pinfs/pinfs/daemon"
	"github.com/pinfs/pinfs/manifest"
)

// filled mounts with a fill.
func (s *store) fill(d *daemon.Daemon) daemon.MountRequest {
	s.t.Helper()
	req := s.request("p/objects:v0")
	req.Fill = true
	_, err := d.Mount(s.t.Context(), req)
	must(s.t, err)
	return req
}

// state is the fill of the only mount.
func state(d *daemon.Daemon) daemon.FillStatus {
	if m := d.Status().Mounts; len(m) == 1 && m[0].Fill != nil {
		return *m[0].Fill
	}
	return daemon.FillStatus{}
}

func TestFill(t *testing.T) {
	s := newStore(t)
	s.addMany(300)
	s.add("big", bytes.Repeat([]byte("0123456789"), 1<<19))
	s.mem.DeleteVersion("mem://b/d0/00007", s.entries["d0/00007"].Extra[manifest.ExtraVersion].(string))
	d := s.serve()
	req := s.fill(d)
	eventually(t, "filled", func() bool { return state(d).State == daemon.FillDone })
	got := state(d)
	if got.Files != 300 || got.TotalFiles != 301 || got.Failed != 1 || got.LeftOut != 0 || got.LastError == "" ||
		got.Bytes == 0 || got.TotalBytes-got.Bytes != int64(len("object 7")) {
		t.Errorf("got %+v", got)
	}
	before := s.mem.Counts().Requests()
	for path := range s.entries {
		if path != "d0/00007" {
			read(t, req.Dir+"/"+path)
		}
	}
	if after := s.mem.Counts().Requests(); after != before {
		t.Errorf("%d requests for what was filled", after-before)
	}
	bad := s.request("p")
	bad.Fill = true
	_, err := d.Mount(t.Context(), bad)
	wantKind(t, err, manifest.KindInvalid, "one version")
}

// TestFillEndsWithItsMount: also when the mount is only taken out of sight.
func TestFillEndsWithItsMount(t *testing.T) {
	for _, lazy := range []bool{false, true} {
		s := newStore(t)
		s.addMany(100)
		d := s.serve()
		var asked, under atomic.Int64
		s.mem.SetHook(func(ctx context.Context, _ memstore.Request) memstore.Fault {
			asked.Add(1)
			under.Add(1)
			defer under.Add(-1)
			<-ctx.Done()
			return memstore.Fault{}
		})
		req := s.fill(d)
		eventually(t, "the fill asks", func() bool { return under.Load() == 32 }) // a quarter of 128
		s.mem.SetHook(nil)
		must(t, d.Unmount(req.Dir, lazy))
		if got := asked.Load(); got != 32 {
			t.Errorf("%d requests of a fill, want a quarter of what is allowed at once", got)
		}
	}
}

// TestFillGivesWay: while a reader waits, the fill brings one object at a time.
func TestFillGivesWay(t *testing.T) {
	s := newStore(t)
	s.addMany(200)
	s.add("zz/wanted", []byte("wanted"))
	d := s.serve()
	asked, answer, most := make(chan struct{}), make(chan struct{}), atomic.Int64{}
	var under, others atomic.Int64
	s.mem.SetHook(func(ctx context.Context, r memstore.Request) memstore.Fault {
		if r.URI == "mem://b/zz/wanted" {
			close(asked)
			select {
			case <-answer:
			case <-ctx.Done():
			}
			return memstore.Fault{}
		}
		<-asked // the fill begins when the reader waits
		n := under.Add(1)
		defer under.Add(-1)
		if others.Add(1) > 32 { // those that began before
			most.Store(max(most.Load(), n))
		}
		return memstore.Fault{}
	})
	req := s.fill(d)
	got := make(chan string)
	go func() {
		data, err := readFile(t, req.Dir+"/zz/wanted")
		got <- fmt.Sprint(string(data), err)
	}()
	eventually(t, "the fill goes on", func() bool { return others.Load() > 100 })
	close(answer)
	if text := <-got; text != "wanted<nil>" {
		t.Errorf("the reader got %s", text)
	}
	if n := most.Load(); n != 1 {
		t.Errorf("while a reader waits %d objects are fetched at once, want one", n)
	}
	eventually(t, "filled", func() bool { return state(d).State == daemon.FillDone })
}

// TestFillOfALargeVersion: as far as it fits, and nothing of it is evicted again.
func TestFillOfALargeVersion(t *testing.T) {
	s := newStore(t)
	s.o.Cache.Size = 16 << 20
	for i := range 24 {
		s.add(fmt.Sprintf("%02d", i), bytes.Repeat([]byte{byte(i), 1}, 1<<19))
	}
	d := s.serve()
	s.fill(d)
	eventually(t, "full", func() bool { return state(d).State == daemon.FillFull })
	got := state(d)
	if got.Files < 12 || got.Files > 16 || got.LeftOut != 24-got.Files || got.Failed != 0 {
		t.Errorf("got %+v, want as many of 1 MiB as 16 MiB hold", got)
	}
	if n := s.mem.Counts().Open; n != got.Files {
		t.Errorf("%d requests for %d files: some were evicted again, or did not fit", n, got.Files)
	}
}
