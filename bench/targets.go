package main

import (
	"fmt"
	"slices"
)

// target is one figure that pinfs wants to reach.
type target struct {
	text  string // what, for people
	row   string // "" for all
	want  string // the limit, for people
	least bool   // the figure must be at least the limit, else at most
	limit float64
	got   func(r *report, o *row) []float64 // the figure of each repeat
}

// verdict is what came of a target.
type verdict struct {
	target
	found  spread
	known  bool
	passed bool
}

func speedOf(of, by string) func(*report, *row) []float64 {
	return func(_ *report, o *row) []float64 { return o.speeds(of, by) }
}

// timeOf is the inverse: how many times as long as the other.
func timeOf(of, by string) func(*report, *row) []float64 { return speedOf(by, of) }

func costOf(of, by string) func(*report, *row) []float64 {
	return func(_ *report, o *row) []float64 { return o.ratios(of, by, perGB) }
}

func valueOf(of string) func(*report, *row) []float64 {
	return func(_ *report, o *row) []float64 { return o.Cells[of].figures(value) }
}

// speedOverPeers compares with the best of the peers.
func speedOverPeers(of string) func(*report, *row) []float64 {
	return func(_ *report, o *row) []float64 {
		var worst []float64
		for _, peer := range []string{nameRclone, nameS3FS} {
			got := o.speeds(of, peer)
			mid, ok := spreadOf(got)
			if least, some := spreadOf(worst); ok && (!some || mid.mid < least.mid) {
				worst = got
			}
		}
		return worst
	}
}

// beyond is how much longer than the other an operation took, in the row's unit.
func beyond(of, by string) func(*report, *row) []float64 {
	return func(_ *report, o *row) (all []float64) {
		a, b := o.Cells[of], o.Cells[by]
		if a == nil || b == nil {
			return nil
		}
		for _, s := range a.Samples {
			if i := slices.IndexFunc(b.Samples, func(o sample) bool { return o.Repeat == s.Repeat }); i >= 0 {
				all = append(all, s.Value-b.Samples[i].Value)
			}
		}
		return all
	}
}

// sentEach is the KiB that the server sent for each operation.
func sentEach(of string) func(*report, *row) []float64 {
	return func(_ *report, o *row) []float64 {
		return o.Cells[of].figures(func(s sample) float64 { return float64(s.Sent) / float64(max(s.Ops, 1)) / kib })
	}
}

// peak is the largest memory of all rows, in MiB.
func peak(of string) func(*report, *row) []float64 {
	return func(r *report, _ *row) (all []float64) {
		var most int64
		for _, o := range r.Rows {
			if c := o.Cells[of]; c != nil {
				for _, s := range c.Samples {
					most = max(most, s.RSS)
				}
			}
		}
		if most == 0 {
			return nil
		}
		return []float64{float64(most) / (1 << 20)}
	}
}

func least(text, row string, limit float64, what string, got func(*report, *row) []float64) target {
	return target{text, row, fmt.Sprintf("≥ %g %s", limit, what), true, limit, got}
}

func most(text, row string, limit float64, what string, got func(*report, *row) []float64) target {
	return target{text, row, fmt.Sprintf("≤ %g %s", limit, what), false, limit, got}
}

// targets are those that pinfs was built for.
func targets() []target {
	const seq, small = "sequential_read", "files_8k_in_order"
	return []target{
		least("sequential, cold from S3, cached and checked", seq+"/cold", 0.5, "× the bare client", speedOf(namePinfs, nameBare)),
		least("the same", seq+"/cold", 1.5, "× the best peer", speedOverPeers(namePinfs)),
		most("the same, CPU of the daemon", seq+"/cold", 2.5, "× the bare client's", costOf(namePinfs, nameBare)),
		least("sequential, cold, 20 ms", "sequential_read_20ms/cold", 0.9, "× the bare client", speedOf(namePinfs, nameBare)),
		least("again, in the kernel's cache, stateless", seq+"/again", 0.3, "× ext4", speedOf(namePinfs, nameDisk)),
		least("again, in the kernel's cache, passthrough", seq+"/again", 0.95, "× ext4", speedOf(namePass, nameDisk)),
		least("from the disk cache, kernel's cache dropped", seq+"/dropped", 0.85, "× ext4 cold", speedOf(namePinfs, nameDisk)),
		least("the same, passthrough", seq+"/dropped", 0.85, "× ext4 cold", speedOf(namePass, nameDisk)),
		most("files of 8 KiB, cold, in order, one reader", small+"/cold", 1.2, "× the bare client at 16", timeOf(namePinfs, nameBare)),
		most("the same shuffled, 4 readers", "files_8k_shuffled_four_threads/cold", 1.3, "× the bare client at 4", timeOf(namePinfs, nameBare)),
		most("the same after warm, kernel's cache dropped", "files_8k_after_warm/dropped", 1.0, "× ext4 cold", timeOf(namePinfs, nameDisk)),
		most("the same warm", "files_8k_after_warm/again", 1.15, "× ext4", timeOf(namePinfs, nameDisk)),
		least("random 4 KiB, cached, kernel's cache dropped", "random_read_4k/dropped", 0.6, "× ext4 cold", speedOf(namePinfs, nameDisk)),
		most("random 4 KiB, uncached, 20 ms: beyond the bare client's round trip", "random_read_4k_20ms/cold", 1, "ms", beyond(namePinfs, nameBare)),
		most("the same: sent by the server for each read, with headers", "random_read_4k_20ms/cold", 66, "KiB", sentEach(namePinfs)),
		most("first byte of a cold file, beyond the bare client's round trip", "time_to_first_byte_read/cold", 1, "ms", beyond(namePinfs, nameBare)),
		most("the same, 20 ms", "time_to_first_byte_read_20ms/cold", 1, "ms", beyond(namePinfs, nameBare)),
		most("walk of 100,000, first", "walk_100k_names/first", 3, "µs an entry", valueOf(namePinfs)),
		most("walk of 100,000, again", "walk_100k_names/again", 1.2, "µs an entry", valueOf(namePinfs)),
		most("walk of 100,000 with attributes, first", "walk_100k_attributes/first", 3, "µs an entry", valueOf(namePinfs)),
		most("walk of 100,000 with attributes, again", "walk_100k_attributes/again", 1.2, "µs an entry", valueOf(namePinfs)),
		least("warm of the files of 8 KiB", "warm_8k/all", 0.9, "× the bare client at its best", speedOf(namePinfs, nameBare)),
		most("peak memory of the daemon, all rows", "", 512, "MiB", peak(namePinfs)),
	}
}

// verdicts judges all targets.
func (r *report) verdicts() (all []verdict) {
	for _, t := range targets() {
		v, o := verdict{target: t}, r.row(t.row)
		if o != nil || t.row == "" {
			v.found, v.known = spreadOf(t.got(r, o))
		}
		v.passed = v.known && ((t.least && v.found.mid >= t.limit) || (!t.least && v.found.mid <= t.limit))
		all = append(all, v)
	}
	return all
}
