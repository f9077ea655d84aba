package backendtest_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/pinfs/pinfs/backends"
	"github.com/pinfs/pinfs/backends/backendtest"
	"github.com/pinfs/pinfs/backends/memstore"
	"github.com/pinfs/pinfs/manifest"
	"github.com/pinfs/pinfs/testwarden"
)

// breakEnv makes TestBroken run its suites; they are meant to fail.
const breakEnv = "PINFS_BACKENDTEST_BREAK"

// broken is a driver with one defect.
type broken struct {
	*memstore.Store
	list func(infos []backends.Info, ctx context.Context, fn func(backends.Info) error) error
	pin  func(manifest.Object) manifest.Object
	open func(b *broken, ctx context.Context, obj manifest.Object, offset, length int64) (io.ReadCloser, backends.Info, error)
	stat func(backends.Info, error) (backends.Info, error)
}

func (b *broken) List(ctx context.Context, uri string, fn func(backends.Info) error) error {
	if b.list == nil {
		return b.Store.List(ctx, uri, fn)
	}
	var infos []backends.Info
	if err := b.Store.List(ctx, uri, func(i backends.Info) error { infos = append(infos, i); return nil }); err != nil {
		return err
	}
	return b.list(infos, ctx, fn)
}

func (b *broken) Open(ctx context.Context, obj manifest.Object, offset, length int64) (io.ReadCloser, backends.Info, error) {
	if b.pin != nil {
		obj = b.pin(obj)
	}
	if b.open != nil {
		return b.open(b, ctx, obj, offset, length)
	}
	return b.Store.Open(ctx, obj, offset, length)
}

func (b *broken) Stat(ctx context.Context, obj manifest.Object) (backends.Info, error) {
	if b.pin != nil {
		obj = b.pin(obj)
	}
	info, err := b.Store.Stat(ctx, obj)
	if b.stat != nil {
		return b.stat(info, err)
	}
	return info, err
}

func each(infos []backends.Info, fn func(backends.Info) error) error {
	for _, i := range infos {
		if err := fn(i); err != nil {
			return err
		}
	}
	return nil
}

// defects are what drivers get wrong, and a case that must see each.
func defects(leak chan struct{}) map[string]struct {
	make func(s *memstore.Store) *broken
	want string
} {
	type defect = struct {
		make func(s *memstore.Store) *broken
		want string
	}
	listing := func(want string, list func([]backends.Info, context.Context, func(backends.Info) error) error) defect {
		return defect{func(s *memstore.Store) *broken { return &broken{Store: s, list: list} }, want}
	}
	opening := func(want string, open func(*broken, context.Context, manifest.Object, int64, int64) (io.ReadCloser, backends.Info, error)) defect {
		return defect{func(s *memstore.Store) *broken { return &broken{Store: s, open: open} }, want}
	}
	stating := func(want string, change func(*manifest.Error)) defect {
		return defect{func(s *memstore.Store) *broken {
			return &broken{Store: s, stat: func(i backends.Info, err error) (backends.Info, error) {
				var typed *manifest.Error
				if errors.As(err, &typed) {
					change(typed)
				}
				return i, err
			}}
		}, want}
	}
	return map[string]defect{
		"drops-empty": listing("list_keeps_empty_objects", func(infos []backends.Info, _ context.Context, fn func(backends.Info) error) error {
			return each(slices.DeleteFunc(infos, func(i backends.Info) bool { return i.Size == 0 }), fn)
		}),
		"one-page": listing("list_2,500_keys", func(infos []backends.Info, _ context.Context, fn func(backends.Info) error) error {
			return each(infos[:min(1000, len(infos))], fn)
		}),
		"wraps-fn": listing("list_stops_at_fn's_error", func(infos []backends.Info, _ context.Context, fn func(backends.Info) error) error {
			if err := each(infos, fn); err != nil {
				return fmt.Errorf("list: %w", err)
			}
			return nil
		}),
		"parallel-fn": listing("list_calls_fn_one_at_a_time", func(infos []backends.Info, _ context.Context, fn func(backends.Info) error) error {
			if len(infos) > 100 {
				return each(infos, fn)
			}
			for range 50 { // it is a matter of luck
				var wg sync.WaitGroup
				for _, i := range infos {
					wg.Go(func() { _ = fn(i) })
				}
				wg.Wait()
			}
			return nil
		}),
		"ignores-cancel": listing("cancelled_in_the_middle_of_a_list", func(infos []backends.Info, _ context.Context, fn func(backends.Info) error) error {
			return each(infos, fn)
		}),
		"unescapes": listing("odd_key:_percent_code", func(infos []backends.Info, _ context.Context, fn func(backends.Info) error) error {
			for k := range infos {
				infos[k].Name = strings.ReplaceAll(infos[k].Name, "%2F", "/")
			}
			return each(infos, fn)
		}),
		"no-version": listing("record_as_W&B_does", func(infos []backends.Info, _ context.Context, fn func(backends.Info) error) error {
			for k := range infos {
				delete(infos[k].Extra, manifest.ExtraVersion)
			}
			return each(infos, fn)
		}),
		"current": {func(s *memstore.Store) *broken {
			return &broken{Store: s, pin: func(obj manifest.Object) manifest.Object {
				_ = s.List(context.Background(), obj.Ref, func(i backends.Info) error { obj = i.Entry("x").Object(); return nil })
				return obj
			}}
		}, "overwritten"},
		"off-by-one": opening("read_ranges", func(b *broken, ctx context.Context, obj manifest.Object, offset, length int64) (io.ReadCloser, backends.Info, error) {
			return b.Store.Open(ctx, obj, offset, length+1)
		}),
		"range-size": opening("read_ranges", func(b *broken, ctx context.Context, obj manifest.Object, offset, length int64) (io.ReadCloser, backends.Info, error) {
			body, info, err := b.Store.Open(ctx, obj, offset, length)
			info.Size = length
			return body, info, err
		}),
		"past-is-error": opening("read_past_the_end", func(b *broken, ctx context.Context, obj manifest.Object, offset, length int64) (io.ReadCloser, backends.Info, error) {
			if offset >= obj.Size {
				return nil, backends.Info{}, backends.Invalid("open", obj.Ref, "416", "")
			}
			return b.Store.Open(ctx, obj, offset, length)
		}),
		"untyped": opening("read_what_never_was", func(b *broken, ctx context.Context, obj manifest.Object, offset, length int64) (io.ReadCloser, backends.Info, error) {
			body, info, err := b.Store.Open(ctx, obj, offset, length)
			if err != nil {
				err = errors.New("NoSuchKey")
			}
			return body, info, err
		}),
		"deaf-stream": opening("cancelled_in_the_middle_of_a_stream", func(b *broken, ctx context.Context, obj manifest.Object, offset, length int64) (io.ReadCloser, backends.Info, error) {
			return b.Store.Open(context.WithoutCancel(ctx), obj, offset, length)
		}),
		"leaks": opening("close_leaves_no_goroutine", func(b *broken, ctx context.Context, obj manifest.Object, offset, length int64) (io.ReadCloser, backends.Info, error) {
			go func() { <-leak }()
			return b.Store.Open(ctx, obj, offset, length)
		}),
		"stat-size": {func(s *memstore.Store) *broken {
			return &broken{Store: s, stat: func(i backends.Info, err error) (backends.Info, error) { i.Size = 0; return i, err }}
		}, "stat_at_the_pin"},
		"wrong-sum": {func(s *memstore.Store) *broken {
			return &broken{Store: s, stat: func(i backends.Info, err error) (backends.Info, error) {
				i.Sums = []manifest.Sum{{Alg: manifest.SumMD5, Value: make([]byte, 16)}}
				return i, err
			}}
		}, "record_true_sums"},
		"eats-cut": opening("fault:_range_cut", func(b *broken, ctx context.Context, obj manifest.Object, offset, length int64) (io.ReadCloser, backends.Info, error) {
			body, info, err := b.Store.Open(ctx, obj, offset, length)
			return &deaf{body}, info, err
		}),
		"denied-again": stating("fault:_denied_stat", func(err *manifest.Error) { err.Kind = manifest.KindUnreachable }),
		"no-pause":     stating("fault:_pause_asked_for_at_stat", func(err *manifest.Error) { err.Err = nil }),
		"wordy":        stating("fault:_words_of_a_failed_stat", func(err *manifest.Error) { err.Msg = "two\nlines" }),
		"gone-again":   stating("fault:_vanished_stat", func(err *manifest.Error) { err.Kind = manifest.KindUnreachable }),
		"impatient":    stating("fault:_broken_stat_heals", func(err *manifest.Error) { err.Kind = manifest.KindOther }),
	}
}

// deaf takes an error for the end.
type deaf struct{ io.ReadCloser }

func (d *deaf) Read(p []byte) (int, error) {
	n, err := d.ReadCloser.Read(p)
	if err != nil {
		err = io.EOF
	}
	return n, err
}

func fixture(make func(*memstore.Store) *broken) backendtest.Fixture {
	return backendtest.Fixture{
		New: func(*testing.T) backendtest.Source {
			s := memstore.NewVersioned()
			const root = "mem://bucket/root"
			return backendtest.Source{
				Backend: make(s), Root: root, Missing: "mem://nobucket/x", Faults: newFaults(s),
				Put:           func(key string, data []byte) error { s.Put(root+"/"+key, data); return nil },
				Delete:        func(key string) error { s.Delete(root + "/" + key); return nil },
				DeleteVersion: func(obj manifest.Object) error { s.DeleteVersion(obj.Ref, obj.Pin.Value); return nil },
			}
		},
		NotApplicable: map[string]string{"fault: later pages broken for ever": "a listing is one request"},
		Features:      backendtest.Features{Versioned: true, ModTime: true, Extra: []string{"etag", "versionID"}, Digest: backendtest.HexMD5, VersionMark: "?versionId="},
	}
}

// TestBroken runs the suite on each defect when TestSuiteSeesDefects asks for it.
func TestBroken(t *testing.T) {
	if os.Getenv(breakEnv) == "" {
		return
	}
	leak := make(chan struct{})
	defer close(leak)
	for name, d := range defects(leak) {
		t.Run(name, func(t *testing.T) { backendtest.Run(t, fixture(d.make)) })
	}
	t.Run("names", func(t *testing.T) {
		f := fixture(func(s *memstore.Store) *broken { return &broken{Store: s} })
		f.NotApplicable["no such name"], f.NotApplicable["read whole"] = "x", ""
		backendtest.Run(t, f)
	})
}

// TestSuiteSeesDefects runs the suite on broken drivers and wants the case that
// is about each defect to fail, and no case of the sound one.
func TestSuiteSeesDefects(t *testing.T) {
	var wanted []string
	for name, d := range defects(nil) {
		wanted = append(wanted, "^TestBroken$/^"+name+"$/^"+regexp.QuoteMeta(d.want)+"$")
	}
	only := strings.Join(append(wanted, "^TestBroken$/^names$/^(read|stat)_"), "|")
	cmd := testwarden.Command(t.Context(), os.Args[0], "-test.run="+only, "-test.v")
	cmd.Env = append(os.Environ(), breakEnv+"=1")
	out, _ := cmd.Output() // it fails, that is the point
	for name, d := range defects(nil) {
		if !bytes.Contains(out, []byte("--- FAIL: TestBroken/"+name+"/"+d.want+" ")) {
			t.Errorf("%s: case %q passed", name, d.want)
		}
	}
	for _, word := range []string{`NotApplicable["no such name"]: no such case`, `NotApplicable["read whole"]: no reason`} {
		if !bytes.Contains(out, []byte(word)) {
			t.Errorf("got no %q", word)
		}
	}
	if bytes.Contains(out, []byte("--- FAIL: TestBroken/names/")) {
		t.Error("a case failed on the sound driver")
	}
	if t.Failed() {
		t.Logf("%s", out)
	}
}

// TestSound runs the suite, faults and all, on a driver that is right.
func TestSound(t *testing.T) {
	backendtest.Run(t, fixture(func(s *memstore.Store) *broken { return &broken{Store: s} }))
}

// TestCases: many, all different, and enough of them about faults.
func TestCases(t *testing.T) {
	names := backendtest.Cases()
	slices.Sort(names)
	if n := len(slices.Compact(slices.Clone(names))); n != len(names) || n < 100 {
		t.Errorf("got %d names, %d different, want 100 or more, all different", len(names), n)
	}
	faults := 0
	for _, name := range names {
		if strings.HasPrefix(name, "fault: ") {
			faults++
		}
	}
	if faults < 30 {
		t.Errorf("got %d cases about faults, want 30 or more", faults)
	}
	t.Logf("%d cases, %d of them about faults", len(names), faults)
}
