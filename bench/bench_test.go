package main_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pinfs/pinfs/testwarden"
)

// shortRows are one scenario of each kind.
const shortRows = `^(sequential_read|random_read_4k|random_read|files_8k_in_order|walk_10k_names|time_to_first_byte_read|mount_1m|files_8k_throttled_16_threads)/`

// programs is where TestMain built both.
var programs string

func TestMain(m *testing.M) {
	testwarden.Main()
	code, err := run(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		code = 1
	}
	os.Exit(code)
}

func run(m *testing.M) (code int, err error) {
	if programs, err = os.MkdirTemp("", "pinfs-benchtest-"); err != nil {
		return 1, err
	}
	defer os.RemoveAll(programs)
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
	defer cancel()
	build := testwarden.Command(ctx, "go", "build", "-o", programs+"/", ".", "../cmd/pinfs")
	if out, err := build.CombinedOutput(); err != nil {
		return 1, fmt.Errorf("build: %w\n%s", err, out)
	}
	return m.Run(), nil
}

// found is what the JSON of a run holds.
type found struct {
	Scale float64 `json:"scale"`
	Notes []string
	Rows  []struct {
		Name  string                     `json:"name"`
		Unit  string                     `json:"unit"`
		Cells map[string]json.RawMessage `json:"cells"`
	} `json:"rows"`
}

// samples are those of one cell.
func samples(t *testing.T, cell json.RawMessage) (values []float64, note string) {
	t.Helper()
	var c struct {
		Samples []struct{ Value, Seconds float64 }
		Note    string
	}
	if err := json.Unmarshal(cell, &c); err != nil {
		t.Fatal(err)
	}
	for _, s := range c.Samples {
		values = append(values, s.Value)
	}
	return values, c.Note
}

// bench is the built command with a directory of its own.
type bench struct{ path, dir string }

func newBench(t *testing.T) bench {
	t.Helper()
	return bench{filepath.Join(programs, "bench"), t.TempDir()}
}

// measure are arguments of a run that is as short as can be.
func (p bench) measure(args ...string) []string {
	return append([]string{"-size", "0.0005", "-peers=false", "-forget", "files", "-dir", p.dir, "-pinfs", filepath.Join(programs, "pinfs")}, args...)
}

// run gives what the command wrote to standard output, and all of it when it failed.
func (p bench) run(t *testing.T, args ...string) (stdout, stderr string, err error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	cmd := testwarden.Command(ctx, p.path, args...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err = cmd.Run()
	return out.String(), errs.String(), err
}

func (p bench) must(t *testing.T, args ...string) string {
	t.Helper()
	out, errs, err := p.run(t, args...)
	if err != nil {
		t.Fatalf("bench %s: %v\n%s", strings.Join(args, " "), err, errs)
	}
	return out
}

// TestShort measures a little of each kind: every row has a figure, the page and
// the comparison are made of them.
func TestShort(t *testing.T) {
	p := newBench(t)
	file := filepath.Join(p.dir, "run.json")
	table := p.must(t, p.measure("-repeat", "1", "-json", file, "-rows", shortRows)...)
	var got found
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(data, &got); err != nil {
		t.Fatal(err)
	}
	if len(got.Notes) > 0 {
		t.Errorf("notes: %v", got.Notes)
	}
	checkRows(t, p, got, table)
	left, err := filepath.Glob(filepath.Join(p.dir, "pinfs-bench-*"))
	if err != nil || len(left) > 0 {
		t.Errorf("left behind: %v %v", left, err)
	}
	t.Run("docs", func(t *testing.T) { checkDocs(t, p, file) })
	t.Run("check", func(t *testing.T) { checkCheck(t, p, file, string(data)) })
}

// TestInterrupted ends a run in its second repeat: it fails, and leaves nothing. Processes
// and mounts are the warden's to look for.
func TestInterrupted(t *testing.T) {
	p := newBench(t)
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	cmd := testwarden.Command(ctx, p.path, p.measure("-repeat", "1000", "-rows", "^sequential_read/")...)
	errs, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(errs)
	for lines.Scan() && !strings.HasPrefix(lines.Text(), "sequential_read") {
	}
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	for lines.Scan() {
	}
	if err := cmd.Wait(); err == nil || cmd.ProcessState.ExitCode() != 1 {
		t.Errorf("interrupted: %v", err)
	}
	left, err := filepath.Glob(filepath.Join(p.dir, "pinfs-bench-*"))
	if err != nil || len(left) > 0 {
		t.Errorf("left behind: %v %v", left, err)
	}
}

// TestReader: wrong lengths and wrong contents are errors.
func TestReader(t *testing.T) {
	p := newBench(t)
	if err := os.WriteFile(filepath.Join(p.dir, "f"), []byte("123456789"), 0o600); err != nil {
		t.Fatal(err)
	}
	const right = 0xe3069283 // of CRC-32C's own definition
	for _, c := range []struct {
		kind      string
		size, crc int64
		errors    int
	}{
		{"files", 9, 0, 0}, {"files", 10, 0, 1}, {"verify", 9, right, 0}, {"verify", 9, right + 1, 1}, {"first", 9, 0, 0},
	} {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		cmd := testwarden.Command(ctx, p.path, "reader")
		cmd.Stdin = strings.NewReader(fmt.Sprintf(`{"kind":%q,"root":%q,"block":4096,"readers":2,"files":[{"path":"f","size":%d,"crc":%d}]}`, c.kind, p.dir, c.size, c.crc))
		out, err := cmd.Output()
		var got struct{ Ops, Errors int }
		if err != nil || json.Unmarshal(out, &got) != nil || got.Errors != c.errors || got.Ops != 1 {
			t.Errorf("%+v: %v %s", c, err, out)
		}
	}
}

// checkRows wants each asked row, with figures above 0 or a reason that is no failure.
func checkRows(t *testing.T, p bench, got found, table string) {
	t.Helper()
	var names []string
	for _, row := range got.Rows {
		names = append(names, row.Name)
		if !strings.Contains(table, "| "+row.Name+" |") {
			t.Errorf("the table has no row %s", row.Name)
		}
		if _, ok := row.Cells["pinfs"]; !ok {
			t.Errorf("%s: nothing of pinfs", row.Name)
		}
		for contender, cell := range row.Cells {
			values, note := samples(t, cell)
			if strings.HasPrefix(note, "n/a: this build") {
				continue
			}
			if len(values) != 1 || values[0] <= 0 || strings.Contains(note, "failed") {
				t.Errorf("%s of %s: %v %s", row.Name, contender, values, note)
			}
		}
	}
	for _, want := range []string{"sequential_read/cold", "sequential_read/again", "sequential_read/dropped", "random_read_4k/dropped", "mmap_read/dropped", "mmap_random_read/dropped",
		"files_8k_in_order/cold", "walk_10k_names/again", "mount_1m/answers", "files_8k_throttled_16_threads/cold"} {
		if !slices.Contains(names, want) {
			t.Errorf("no row %s in %v", want, names)
		}
	}
	for _, name := range names {
		if !strings.Contains(p.must(t, "-list"), name+"\n") {
			t.Errorf("-list does not name %s", name)
		}
	}
}

// checkDocs: what is written by hand stays.
func checkDocs(t *testing.T, p bench, file string) {
	page := filepath.Join(p.dir, "page.md")
	if err := os.WriteFile(page, []byte("head\n<!-- bench: begin -->\nstale\n<!-- bench: end -->\ntail\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	p.must(t, "-docs", page, "-from", file)
	data, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	text := string(data)
	if !strings.HasPrefix(text, "head\n") || !strings.HasSuffix(text, "\ntail\n") || strings.Contains(text, "stale") || !strings.Contains(text, "| sequential_read/cold |") {
		t.Errorf("the page is\n%s", text)
	}
}

// checkCheck: a run is as good as itself, and worse than one where pinfs was twice as
// fast; what the baseline's own repeats differ by is allowed, up to a half.
func checkCheck(t *testing.T, p bench, file, data string) {
	p.must(t, "-from", file, "-check", file)
	for _, c := range []struct {
		name    string
		factors []float64 // of the baseline's repeats
		loss    bool
		says    string
	}{
		{"twice as fast", []float64{2}, true, "sequential_read/cold: pinfs is"},
		{"a little faster", []float64{1.2, 1.2, 1.2}, false, "none of"},
		{"faster", []float64{1.4, 1.4, 1.4}, true, "sequential_read/cold: pinfs is"},
		{"faster, not always", []float64{1.4, 1.4, 0.9}, false, "none of"},
		{"much faster, not always", []float64{2, 2, 1.05}, true, "sequential_read/cold: pinfs is"},
		{"anything", []float64{2, 2, 0.9}, false, "differ too much: sequential_read/cold of pinfs"},
	} {
		t.Run(c.name, func(t *testing.T) {
			base := filepath.Join(t.TempDir(), "base.json")
			if err := os.WriteFile(base, doctored(t, data, c.factors), 0o600); err != nil {
				t.Fatal(err)
			}
			_, errs, err := p.run(t, "-from", file, "-check", base)
			if (err != nil) != c.loss || !strings.Contains(errs, c.says) || strings.Contains(errs, "sequential_read/again") {
				t.Errorf("got %v\n%s\nwant a loss: %v, and %q", err, errs, c.loss, c.says)
			}
		})
	}
}

// doctored is a run in which pinfs was so many times as fast in one row, in each repeat.
func doctored(t *testing.T, data string, factors []float64) []byte {
	t.Helper()
	var doc map[string]any
	if err := json.Unmarshal([]byte(data), &doc); err != nil {
		t.Fatal(err)
	}
	for _, row := range doc["rows"].([]any) {
		row := row.(map[string]any)
		if row["name"] != "sequential_read/cold" {
			continue
		}
		for contender, cell := range row["cells"].(map[string]any) {
			cell, all := cell.(map[string]any), []any{}
			for i, factor := range factors {
				s := maps.Clone(cell["samples"].([]any)[0].(map[string]any))
				s["repeat"] = i
				if contender == "pinfs" {
					s["value"] = s["value"].(float64) * factor
				}
				all = append(all, s)
			}
			cell["samples"] = all
		}
	}
	out, err := json.Marshal(doc)
	if err != nil {
		t.Fatal(err)
	}
	return out
}
