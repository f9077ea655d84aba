package backendtest

import (
	"net/http"
	"slices"
	"testing"

	"github.com/pinfs/pinfs/backends"
	"github.com/pinfs/pinfs/manifest"
)

// morePages is more than one page of a thousand.
const morePages = 1100

func pageCases() []testCase {
	return []testCase{
		faultCase("later page unavailable", func(t *testing.T, e *env) {
			pagesHeal(t, e, Fault{Op: ListOp, Skip: 1, Times: 2, Status: http.StatusServiceUnavailable})
		}),
		faultCase("later page cut", func(t *testing.T, e *env) {
			pagesHeal(t, e, Fault{Op: ListOp, Skip: 1, Times: 2, Body: &Damage{Cut, 300}})
		}),
		faultCase("later page reset", func(t *testing.T, e *env) {
			pagesHeal(t, e, Fault{Op: ListOp, Skip: 1, Times: 2, Reset: true})
		}),
		faultCase("first page cut", func(t *testing.T, e *env) {
			pagesHeal(t, e, Fault{Op: ListOp, Times: 2, Body: &Damage{Cut, 300}})
		}),
		faultCase("later page silent", func(t *testing.T, e *env) {
			pagesHeal(t, e, Fault{Op: ListOp, Skip: 1, Times: 1, Silent: true})
		}),
		faultCase("later pages broken for ever", pagesBroken),
	}
}

// pagesHeal lists by pages of which some fail: each object comes once.
func pagesHeal(t *testing.T, e *env, f Fault) {
	want := e.putMany(t, morePages)
	e.fault(t, f)
	var got []string
	err := backends.WithRetry(e.Backend, Retry()).List(e.ctx, e.Root, func(i backends.Info) error {
		got = append(got, i.Name)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("got %d names, %d different, want %d", len(got), len(slices.Compact(slices.Clone(got))), len(want))
	}
}

// pagesBroken wants no listing that looks complete.
func pagesBroken(t *testing.T, e *env) {
	e.putMany(t, morePages)
	e.fault(t, Fault{Op: ListOp, Skip: 1, Status: http.StatusInternalServerError})
	err := backends.WithRetry(e.Backend, Retry()).List(e.ctx, e.Root, func(backends.Info) error { return nil })
	wantKind(t, err, e.Root, manifest.KindUnreachable)
}
