package download

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/pinfs/pinfs/manifest"
)

// Verify asks for every object of the version at its pin, shadowed ones too. What
// is pinned by its content (files) is read and hashed; of the rest the source tells
// whether the recorded version is there, and its checksums, which are compared with
// the recorded ones. With Read all contents are read and checked. The error is for what stopped it: the end
// of ctx, a damaged snapshot.
func Verify(ctx context.Context, o VerifyOptions) (VerifyResult, error) {
	v := &verifier{o: o, meter: &meter{report: o.Progress}, result: VerifyResult{Checks: map[string]int64{}}}
	v.buffers.New = func() any { return new([bufferSize]byte) }
	sum := o.Snapshot.Summary()
	v.meter.total(sum.Files, sum.Bytes)
	err := v.run(ctx, parallelOf(o.Parallel))
	v.meter.done()
	return v.result, err
}

const verifying = "verify" // manifest.Error.Op

// verifier is a Verify under way.
type verifier struct {
	o       VerifyOptions
	meter   *meter
	buffers sync.Pool // *[bufferSize]byte

	mu     sync.Mutex // guards result, and makes calls of OnFile one at a time
	result VerifyResult
}

func (v *verifier) run(ctx context.Context, workers int) error {
	indexes := make(chan uint32, workers)
	group, inner := errgroup.WithContext(ctx)
	group.Go(func() error {
		defer close(indexes)
		return v.files(inner, indexes)
	})
	for range workers {
		group.Go(func() error {
			for i := range indexes {
				if err := v.check(inner, i); err != nil {
					return err
				}
			}
			return nil
		})
	}
	err := group.Wait()
	if ctx.Err() != nil {
		return &manifest.Error{Kind: manifest.KindOf(ctx.Err()), Op: verifying, Err: ctx.Err()}
	}
	return err
}

func (v *verifier) files(ctx context.Context, indexes chan<- uint32) error {
	for i := range v.o.Snapshot.Nodes() {
		node, err := v.o.Snapshot.Node(i)
		if err == nil && !node.Dir {
			err = send(ctx, indexes, i)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// check looks at one object; the error is one that ends everything.
func (v *verifier) check(ctx context.Context, index uint32) error {
	obj, err := v.o.Snapshot.Object(index)
	if err != nil {
		return err
	}
	path, err := v.o.Snapshot.Path(index)
	if err != nil {
		return err
	}
	var f finding
	switch {
	case obj.Pin.Kind == manifest.PinNone:
	case v.o.Read:
		f = v.read(ctx, obj)
	default:
		f = v.ask(ctx, obj)
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	v.note(path, obj, f)
	return nil
}

// finding is what was compared of one object and was right, and what was not.
type finding struct {
	right []string
	wrong string // "" when all was right
	err   error
	read  int64 // bytes
}

func (f *finding) ok(check string) {
	if !slices.Contains(f.right, check) {
		f.right = append(f.right, check)
	}
}

func (f *finding) fail(check string, err error) { f.wrong, f.err = check, err }

// ask has the source tell whether the recorded version is there, and compares what
// it tells of it.
func (v *verifier) ask(ctx context.Context, obj manifest.Object) (f finding) {
	pin := checkName(obj.Pin.Kind)
	info, err := v.o.Backend.Stat(ctx, obj)
	if err != nil {
		f.fail(pin, err)
		return f
	}
	f.ok(pin)
	if obj.Size >= 0 && info.Size >= 0 && obj.Size != info.Size {
		f.fail(CheckSize, &manifest.Error{
			Kind: manifest.KindChanged, Op: verifying, Ref: obj.Ref,
			Expected: fmt.Sprintf("%d bytes", obj.Size), Found: fmt.Sprintf("%d bytes", info.Size),
		})
		return f
	}
	f.compare(obj, info.Sums)
	return f
}

// compare holds the recorded checksums against those that the source tells.
func (f *finding) compare(obj manifest.Object, told []manifest.Sum) {
	for _, want := range recordedSums(obj) {
		for _, got := range told {
			if got.Alg != want.Alg {
				continue
			}
			if err := obj.CheckSum(verifying, want, got.Value); err != nil {
				f.fail(string(want.Alg), err)
				return
			}
			f.ok(string(want.Alg))
		}
	}
}

// note counts an object.
func (v *verifier) note(path string, obj manifest.Object, f finding) {
	if v.o.Read {
		v.meter.add(1, 0)
	} else {
		v.meter.add(1, max(obj.Size, 0))
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	v.count(path, obj, f)
	if v.o.OnFile == nil {
		return
	}
	switch {
	case f.err != nil:
		v.o.OnFile(path, f.wrong, false)
	case len(f.right) == 0:
		v.o.OnFile(path, CheckNone, true)
	default:
		v.o.OnFile(path, strings.Join(f.right, ", "), true)
	}
}

// count adds an object to the result; v.mu is held.
func (v *verifier) count(path string, obj manifest.Object, f finding) {
	r := &v.result
	r.Bytes += f.read
	for _, check := range f.right {
		r.Checks[check]++
	}
	switch {
	case f.err != nil:
		r.Checked++
		r.FailedCount++
		if len(r.Failed) < maxFailures {
			r.Failed = append(r.Failed, describe(path, obj, f))
		}
	case len(f.right) == 0:
		r.Unchecked++
	default:
		r.Checked++
		r.OK++
	}
}

func describe(path string, obj manifest.Object, f finding) VerifyFailure {
	d := VerifyFailure{Path: path, Ref: obj.Ref, Expected: obj.Pin.Value, Check: f.wrong, Err: f.err}
	var typed *manifest.Error
	if errors.As(f.err, &typed) {
		d.Expected, d.Found = cmp.Or(typed.Expected, d.Expected), typed.Found
	}
	return d
}

// checkName says in words what a pin of that kind compares.
func checkName(kind manifest.PinKind) string {
	if kind == manifest.PinVersion {
		return CheckVersion
	}
	return kind.String()
}
