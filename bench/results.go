package main

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"time"
)

// report is all that a run found out.
type report struct {
	Started  time.Time         `json:"started"`
	Seconds  float64           `json:"seconds"`
	Scale    float64           `json:"scale"`
	Repeat   int               `json:"repeat"`
	Forget   string            `json:"forget"` // how the kernel's caches were emptied
	Machine  machine           `json:"machine"`
	Programs map[string]string `json:"programs"` // contender: version, or why it is missing
	Notes    []string          `json:"notes,omitempty"`
	Rows     []*row            `json:"rows"`
}

// row is one stage of one scenario.
type row struct {
	Name  string           `json:"name"`
	Unit  string           `json:"unit"` // of units
	Ref   string           `json:"ref"`  // the contender that pinfs is compared with
	Cells map[string]*cell `json:"cells"`
}

// cell is what one contender did in a row.
type cell struct {
	Samples []sample `json:"samples,omitempty"`
	Note    string   `json:"note,omitempty"` // why there are none, or fewer
}

// sample is one measurement.
type sample struct {
	Repeat    int     `json:"repeat"`
	Value     float64 `json:"value"` // in the row's unit
	Seconds   float64 `json:"seconds"`
	Bytes     int64   `json:"bytes"`
	Ops       int64   `json:"ops"`
	P50       float64 `json:"p50"` // seconds of one operation
	P99       float64 `json:"p99"`
	CPU       float64 `json:"cpu"`        // seconds of the contender's processes; of the bare client, its own
	ReaderCPU float64 `json:"reader_cpu"` // seconds of the reader process
	RSS       int64   `json:"rss"`        // peak of the contender's processes, bytes
	Sent      int64   `json:"sent"`       // bytes that the server sent meanwhile
	Requests  int64   `json:"requests,omitempty"`
	Throttled int64   `json:"throttled,omitempty"` // requests that were answered with 503
	Errors    int     `json:"errors,omitempty"`
}

// unit is how a row's figure is made of a sample.
type unit struct {
	name   string
	higher bool // is better
	value  func(s sample) float64
}

func units() map[string]unit {
	each := func(factor float64) func(sample) float64 {
		return func(s sample) float64 { return s.Seconds / float64(max(s.Ops, 1)) * factor }
	}
	all := map[string]unit{}
	for _, u := range []unit{
		{"GB/s", true, func(s sample) float64 { return float64(s.Bytes) / s.Seconds / 1e9 }},
		{"reads/s", true, func(s sample) float64 { return float64(s.Ops) / s.Seconds }},
		{"µs/file", false, each(1e6)},
		{"µs/entry", false, each(1e6)},
		{"ms", false, func(s sample) float64 { return s.P50 * 1e3 }},
	} {
		all[u.name] = u
	}
	return all
}

// row gives the row of that name, or nil.
func (r *report) row(name string) *row {
	i := slices.IndexFunc(r.Rows, func(o *row) bool { return o.Name == name })
	if i < 0 {
		return nil
	}
	return r.Rows[i]
}

// cell gives the cell of a contender; it makes what is missing.
func (r *report) cell(name, unit, ref, contender string) *cell {
	o := r.row(name)
	if o == nil {
		o = &row{Name: name, Unit: unit, Ref: ref, Cells: map[string]*cell{}}
		r.Rows = append(r.Rows, o)
	}
	if o.Cells[contender] == nil {
		o.Cells[contender] = &cell{}
	}
	return o.Cells[contender]
}

// spread is the median of figures with the least and the most.
type spread struct{ mid, min, max float64 }

// spreadOf is the zero value when there is nothing; ok tells.
func spreadOf(figures []float64) (s spread, ok bool) {
	if len(figures) == 0 {
		return s, false
	}
	sorted := slices.Sorted(slices.Values(figures))
	n := len(sorted)
	return spread{mid: (sorted[n/2] + sorted[(n-1)/2]) / 2, min: sorted[0], max: sorted[n-1]}, true
}

// figures gives one figure of each sample.
func (c *cell) figures(of func(sample) float64) (all []float64) {
	if c == nil {
		return nil
	}
	for _, s := range c.Samples {
		all = append(all, of(s))
	}
	return all
}

func value(s sample) float64 { return s.Value }

// perGB is the CPU seconds for 10⁹ bytes that were read.
func perGB(s sample) float64 { return s.CPU / max(float64(s.Bytes)/1e9, 1e-9) }

// ratios divides a figure of one contender by that of another, repeat by repeat.
func (r *row) ratios(of, by string, figure func(sample) float64) (all []float64) {
	a, b := r.Cells[of], r.Cells[by]
	if a == nil || b == nil {
		return nil
	}
	for _, s := range a.Samples {
		i := slices.IndexFunc(b.Samples, func(o sample) bool { return o.Repeat == s.Repeat })
		if i < 0 {
			continue
		}
		if d := figure(b.Samples[i]); d > 0 {
			all = append(all, figure(s)/d)
		}
	}
	return all
}

// speeds is how many times as fast as the other a contender was.
func (r *row) speeds(of, by string) []float64 {
	if units()[r.Unit].higher {
		return r.ratios(of, by, value)
	}
	return r.ratios(by, of, value)
}

func (r *report) save(path string) error {
	data, err := json.MarshalIndent(r, "", " ")
	if err != nil {
		return err
	}
	return os.WriteFile(path, append(data, '\n'), 0o644)
}

func load(path string) (*report, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	r := &report{}
	if err := json.Unmarshal(data, r); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return r, nil
}
