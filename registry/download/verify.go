package download

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/pinfs/pinfs/manifest"
)

// Verify asks for every object of the version at its pin, shadowed ones too. What
// is pinned by its content (files) is read and hashed; of the rest the source tells
// whether the recorded version is there. The error is for what stopped it: the end
// of ctx, a damaged snapshot.
func Verify(ctx context.Context, o VerifyOptions) (VerifyResult, error) {
	v := &verifier{o: o, meter: &meter{report: o.Progress}}
	sum := o.Snapshot.Summary()
	v.meter.total(sum.Files, sum.Bytes)
	err := v.run(ctx, parallelOf(o.Parallel))
	v.meter.done()
	return v.result, err
}

// verifier is a Verify under way.
type verifier struct {
	o     VerifyOptions
	meter *meter

	mu     sync.Mutex // guards result
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
		return &manifest.Error{Kind: manifest.KindOf(ctx.Err()), Op: "verify", Err: ctx.Err()}
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

// check asks for one object; the error is one that ends everything.
func (v *verifier) check(ctx context.Context, index uint32) error {
	obj, err := v.o.Snapshot.Object(index)
	if err != nil {
		return err
	}
	if obj.Pin.Kind == manifest.PinNone {
		v.note(nil, obj, nil)
		return nil
	}
	info, failure := v.o.Backend.Stat(ctx, obj)
	if failure == nil && obj.Size >= 0 && info.Size >= 0 && obj.Size != info.Size {
		failure = &manifest.Error{
			Kind: manifest.KindChanged, Op: "verify", Ref: obj.Ref,
			Expected: fmt.Sprintf("%d bytes", obj.Size), Found: fmt.Sprintf("%d bytes", info.Size),
		}
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	path, err := v.o.Snapshot.Path(index)
	if err == nil {
		v.note(&path, obj, failure)
	}
	return err
}

// note counts an object; path is nil for one that was not asked for.
func (v *verifier) note(path *string, obj manifest.Object, failure error) {
	v.meter.add(1, max(obj.Size, 0))
	v.mu.Lock()
	defer v.mu.Unlock()
	if path == nil {
		v.result.Unchecked++
		return
	}
	v.result.Checked++
	if failure == nil {
		v.result.OK++
		return
	}
	v.result.FailedCount++
	if len(v.result.Failed) < maxFailures {
		v.result.Failed = append(v.result.Failed, describe(*path, obj, failure))
	}
}

func describe(path string, obj manifest.Object, failure error) VerifyFailure {
	f := VerifyFailure{Path: path, Ref: obj.Ref, Expected: obj.Pin.Value, Check: checkName(obj.Pin.Kind), Err: failure}
	var typed *manifest.Error
	if errors.As(failure, &typed) {
		f.Expected, f.Found = cmp.Or(typed.Expected, f.Expected), typed.Found
	}
	return f
}

// checkName says in words what a pin of that kind compares.
func checkName(kind manifest.PinKind) string {
	if kind == manifest.PinVersion {
		return "version id"
	}
	return kind.String()
}
