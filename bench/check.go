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
	allowed     float64 // the part by which it may be worse
}

func (l loss) String() string {
	return fmt.Sprintf("%s: %s is %s × as fast as %s, the baseline has %s × (%.0f %% less are allowed)",
		l.row, l.of, figure(l.is), l.by, figure(l.was), l.allowed*100)
}

// mostAllowed is the largest part by which a guarded row may be worse: a row whose
// own repeats differ by more tells nothing.
const mostAllowed = 0.5

// guard is how much worse the figures of one contender in one row may be.
type guard struct {
	row     *row // of the baseline
	of      string
	was     float64
	allowed float64
}

// guards are worse for all, but for what the baseline's own repeats differ by: from
// their median down to the least. loose names those that differ too much to be guarded.
func guards(base *report, worse float64) (all []guard, loose []string) {
	for _, o := range base.Rows {
		for _, name := range []string{namePinfs, namePass} {
			s, ok := spreadOf(o.speeds(name, o.Ref))
			if !ok {
				continue
			}
			g := guard{o, name, s.mid, max(worse, 1-s.min/s.mid)}
			if g.allowed > max(mostAllowed, worse) {
				loose = append(loose, o.Name+" of "+name)
				continue
			}
			all = append(all, g)
		}
	}
	return all, loose
}

// losses compares how fast pinfs is beside its references, never seconds. A row
// that has no ratio any more is a loss too.
func losses(guards []guard, now *report) (all []loss) {
	for _, g := range guards {
		is := now.row(g.row.Name)
		if is == nil {
			continue // not asked for
		}
		after, _ := spreadOf(is.speeds(g.of, g.row.Ref))
		if after.mid < g.was*(1-g.allowed) {
			all = append(all, loss{g.row.Name, g.of, g.row.Ref, g.was, after.mid, g.allowed})
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
	rows, loose := guards(base, f.worse)
	if len(loose) > 0 {
		say("not guarded, since the repeats of %s differ too much: %s", f.check, strings.Join(loose, ", "))
	}
	bad := losses(rows, r)
	if len(bad) > 0 && f.from == "" {
		say("worse than %s, measured once more: %v", f.check, bad)
		if bad, err = f.again(ctx, rows, bad); err != nil {
			return err
		}
	}
	if len(bad) == 0 {
		say("none of %d figures is worse than in %s by more than %.0f %%, or its own spread", len(rows), f.check, f.worse*100)
		return nil
	}
	lines := make([]string, len(bad))
	for i, l := range bad {
		lines[i] = l.String()
	}
	return fmt.Errorf("worse than %s:\n  %s", f.check, strings.Join(lines, "\n  "))
}

// again measures the rows that were worse, twice as often.
func (f *flags) again(ctx context.Context, rows []guard, bad []loss) ([]loss, error) {
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
	for _, l := range losses(rows, r) {
		if which[l.row+l.of] {
			still = append(still, l)
		}
	}
	return still, nil
}
