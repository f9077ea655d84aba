package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// columns are the contenders, in the order of the tables.
func columns() []string {
	return []string{nameDisk, nameBare, namePinfs, namePass, nameRclone, nameS3FS}
}

// markdown is all of a report for people.
func (r *report) markdown() string {
	var b strings.Builder
	r.about(&b)
	r.writeTargets(&b)
	r.writeFigures(&b)
	r.writeCosts(&b)
	r.writeNotes(&b)
	return b.String()
}

func (r *report) about(b *strings.Builder) {
	m := r.Machine
	fmt.Fprintf(b, "Measured %s: %d cores (%s), %.0f GiB of memory, Linux %s, %s, %s. Scale %g, measured %s, %.0f minutes.\n\n",
		r.Started.Format("2006-01-02"), m.Cores, m.CPU, float64(m.Memory)/(1<<30), m.Kernel, m.Disk, m.Go, r.Scale, r.times(), r.Seconds/60)
	if r.Forget == forgetFiles {
		fmt.Fprint(b, "The kernel's caches were emptied file by file: names and attributes stayed in memory.\n\n")
	}
	for _, name := range columns() {
		if v := r.Programs[name]; v != "" {
			fmt.Fprintf(b, "- %s: %s\n", name, v)
		}
	}
}

// times says how often most was measured: a budget may have ended earlier than what
// was asked for.
func (r *report) times() string {
	most := 0
	for _, row := range r.Rows {
		for _, c := range row.Cells {
			most = max(most, len(c.Samples))
		}
	}
	if most == 1 {
		return "once"
	}
	return fmt.Sprintf("%d times", most)
}

func (r *report) writeTargets(b *strings.Builder) {
	fmt.Fprint(b, "\n### Targets\n\n| | row | wanted | found | least–most | |\n|---|---|---|---|---|---|\n")
	for _, v := range r.verdicts() {
		found, span, mark := "–", "–", "not measured"
		if v.known {
			found, span, mark = figure(v.found.mid), figure(v.found.min)+"–"+figure(v.found.max), "**missed**"
		}
		if v.passed {
			mark = "met"
		}
		fmt.Fprintf(b, "| %s | %s | %s | %s | %s | %s |\n", v.text, v.row, v.want, found, span, mark)
	}
}

// writeFigures is the one table: medians, and how fast pinfs was beside its reference.
func (r *report) writeFigures(b *strings.Builder) {
	fmt.Fprint(b, "\n### Figures\n\nMedians. The last columns: how many times as fast as the reference pinfs is, how many times as fast as the best peer.\n\n")
	fmt.Fprintf(b, "| row | unit | %s | pinfs : reference | pinfs : best peer |\n|---|---|%s---|---|\n", strings.Join(columns(), " | "), strings.Repeat("---|", len(columns())))
	for _, o := range r.Rows {
		fmt.Fprintf(b, "| %s | %s |", o.Name, o.Unit)
		for _, name := range columns() {
			fmt.Fprintf(b, " %s |", o.cellText(name, value))
		}
		ref, peers := "–", "–"
		if s, ok := spreadOf(o.speeds(namePinfs, o.Ref)); ok {
			ref = fmt.Sprintf("%s × %s", figure(s.mid), o.Ref)
		}
		if s, ok := spreadOf(speedOverPeers(namePinfs)(r, o)); ok {
			peers = figure(s.mid) + " ×"
		}
		fmt.Fprintf(b, " %s | %s |\n", ref, peers)
	}
}

// cellText is the median of a figure, or why there is none.
func (o *row) cellText(name string, of func(sample) float64) string {
	c := o.Cells[name]
	if s, ok := spreadOf(c.figures(of)); ok {
		return figure(s.mid)
	}
	switch {
	case c == nil:
		return ""
	case strings.HasPrefix(c.Note, "n/a"):
		return "n/a"
	}
	return "failed"
}

// writeCosts shows CPU and memory of each row.
func (r *report) writeCosts(b *strings.Builder) {
	names := columns()[1:]
	fmt.Fprint(b, "\n### Costs\n\nCPU seconds of the contender's processes for 10⁹ bytes (without bytes: milliseconds in all), and their peak memory in MiB.\n\n")
	fmt.Fprintf(b, "| row | %s |\n|---|%s\n", strings.Join(names, " | "), strings.Repeat("---|", len(names)))
	for _, o := range r.Rows {
		fmt.Fprintf(b, "| %s |", o.Name)
		for _, name := range names {
			fmt.Fprintf(b, " %s |", o.costText(name))
		}
		fmt.Fprintln(b)
	}
}

func (o *row) costText(name string) string {
	c := o.Cells[name]
	if c == nil || len(c.Samples) == 0 {
		return ""
	}
	cost := func(s sample) float64 {
		if s.Bytes < 1<<20 {
			return s.CPU * 1e3
		}
		return perGB(s)
	}
	cpu, _ := spreadOf(c.figures(cost))
	rss, _ := spreadOf(c.figures(func(s sample) float64 { return float64(s.RSS) / (1 << 20) }))
	unit := " s"
	if c.Samples[0].Bytes < 1<<20 {
		unit = " ms"
	}
	return fmt.Sprintf("%s%s, %.0f", figure(cpu.mid), unit, rss.max)
}

// writeNotes tells what failed, was throttled, or is missing.
func (r *report) writeNotes(b *strings.Builder) {
	notes := slices.Clone(r.Notes)
	seen := map[string]bool{}
	for _, o := range r.Rows {
		for _, name := range slices.Sorted(maps.Keys(o.Cells)) {
			c := o.Cells[name]
			if c.Note != "" && !seen[name+c.Note] {
				seen[name+c.Note] = true
				notes = append(notes, fmt.Sprintf("%s, %s: %s", o.Name, name, c.Note))
			}
			if s, ok := spreadOf(c.figures(throttledPart)); ok && s.max > 0 {
				notes = append(notes, fmt.Sprintf("%s, %s: %.0f requests, %.0f %% of them throttled, %.0f errors", o.Name, name,
					middle(c, func(s sample) float64 { return float64(s.Requests) }), s.mid*100, middle(c, func(s sample) float64 { return float64(s.Errors) })))
			}
		}
	}
	if len(notes) == 0 {
		return
	}
	fmt.Fprint(b, "\n### Notes\n\n")
	for _, n := range notes {
		fmt.Fprintf(b, "- %s\n", strings.ReplaceAll(n, "|", "/"))
	}
}

func throttledPart(s sample) float64 { return float64(s.Throttled) / float64(max(s.Requests, 1)) }

func middle(c *cell, of func(sample) float64) float64 {
	s, _ := spreadOf(c.figures(of))
	return s.mid
}

// figure has three digits.
func figure(f float64) string {
	switch a := max(f, -f); {
	case a >= 100:
		return fmt.Sprintf("%.0f", f)
	case a >= 10:
		return fmt.Sprintf("%.1f", f)
	case a >= 1:
		return fmt.Sprintf("%.2f", f)
	}
	return fmt.Sprintf("%.3f", f)
}
