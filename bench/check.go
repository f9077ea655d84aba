package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"regexp"
	"strings"
)

// loss is a row that became worse than the baseline.
type loss struct {
	row, of, by string
	was, is     float64 // how many times as fast as the reference
}

func (l loss) String() string {
	return fmt.Sprintf("%s: %s is %s × as fast as %s, the baseline has %s ×", l.row, l.of, figure(l.is), l.by, figure(l.was))
}

// losses compares how fast pinfs is beside its references, never seconds. A row
// that has no ratio any more is a loss too.
func losses(base, now *report, worse float64) (all []loss) {
	for _, was := range base.Rows {
		is := now.row(was.Name)
		if is == nil {
			continue // not asked for
		}
		for _, name := range []string{namePinfs, namePass} {
			before, ok := spreadOf(was.speeds(name, was.Ref))
			if !ok {
				continue
			}
			after, _ := spreadOf(is.speeds(name, was.Ref))
			if after.mid < before.mid*(1-worse) {
				all = append(all, loss{was.Name, name, was.Ref, before.mid, after.mid})
			}
		}
	}
	return all
}

// compare fails when a row is worse than the baseline. Such a row is measured once
// more, since a busy machine does that too: it must be worse both times.
func (f *flags) compare(ctx context.Context, r *report) error {
	base, err := load(f.check)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%s is missing: make bench-baseline records it, on a machine that has nothing else to do", f.check)
	}
	if err != nil {
		return err
	}
	if base.Scale != r.Scale || base.Forget != r.Forget {
		return fmt.Errorf("%s was measured with -size %g -forget %s, this is -size %g -forget %s", f.check, base.Scale, base.Forget, r.Scale, r.Forget)
	}
	bad := losses(base, r, f.worse)
	if len(bad) > 0 && f.from == "" {
		say("worse than %s, measured once more: %v", f.check, bad)
		if bad, err = f.again(ctx, base, bad); err != nil {
			return err
		}
	}
	if len(bad) == 0 {
		say("no row is worse than in %s by more than %.0f %%", f.check, f.worse*100)
		return nil
	}
	lines := make([]string, len(bad))
	for i, l := range bad {
		lines[i] = l.String()
	}
	return fmt.Errorf("worse than %s by more than %.0f %%:\n  %s", f.check, f.worse*100, strings.Join(lines, "\n  "))
}

// again measures the rows that were worse, twice as often.
func (f *flags) again(ctx context.Context, base *report, bad []loss) ([]loss, error) {
	o := f.options
	o.repeat *= 2
	names, which := make([]string, len(bad)), map[string]bool{}
	for i, l := range bad {
		names[i], which[l.row+l.of] = regexp.QuoteMeta(l.row), true
	}
	var err error
	if o.rows, err = regexp.Compile("^(" + strings.Join(names, "|") + ")$"); err != nil {
		return nil, err
	}
	r, err := measure(ctx, o)
	if err != nil {
		return nil, err
	}
	var still []loss
	for _, l := range losses(base, r, f.worse) {
		if which[l.row+l.of] {
			still = append(still, l)
		}
	}
	return still, nil
}
