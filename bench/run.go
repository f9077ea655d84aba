package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"
)

const (
	// slowTurn is how long a peer may take for a scenario and be measured again.
	slowTurn = 15 * time.Second
	// peerFiles is one of how many small files a peer reads, from the first on: some
	// take minutes for all.
	peerFiles = 5
)

// options are the flags of a measuring run.
type options struct {
	rows   *regexp.Regexp
	repeat int
	scale  float64
	budget time.Duration // no repeat but the first begins after that
	limit  time.Duration // of one stage
	peers  bool
	verify bool // the contents, once
	forget string
	parent string
	pinfs  string // the program, if it is built already
}

// runner measures.
type runner struct {
	options
	lab      *lab
	report   *report
	self     string // this program, for readers
	drop     error  // why the kernel's caches can't be dropped
	verified map[string]bool
	begin    time.Time
	slow     map[string]bool // scenario and peer: too slow to measure again
	wrong    []error         // contents that are not those that were put
}

// measure does a whole run. What it has found so far comes with an error too.
func measure(ctx context.Context, o options) (*report, error) {
	ctx, cancel := context.WithTimeout(ctx, o.budget+o.budget/2)
	defer cancel()
	todo := wanted(o.rows)
	if len(todo) == 0 {
		return nil, fmt.Errorf("no row matches %s; -list names them", o.rows)
	}
	l, err := newLab(o.parent)
	if l != nil {
		defer l.close()
	}
	if err != nil {
		return nil, err
	}
	l.pinfs = o.pinfs
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	r := &runner{options: o, lab: l, self: self, drop: canForget(o.forget), verified: map[string]bool{}, slow: map[string]bool{}, begin: time.Now()}
	r.report = &report{Started: r.begin.UTC().Truncate(time.Second), Scale: o.scale, Repeat: o.repeat, Forget: o.forget, Machine: describe(l.dir), Programs: map[string]string{}}
	if err := r.prepare(ctx, todo); err != nil {
		return nil, err
	}
	err = r.repeats(ctx, todo)
	r.report.Seconds = time.Since(r.begin).Seconds()
	return r.report, errors.Join(append(r.wrong, err)...)
}

// prepare builds, starts and seeds what the scenarios need.
func (r *runner) prepare(ctx context.Context, todo []scenario) error {
	r.lab.sets = datasets(r.scale)
	var sets []*dataset
	nets := map[string]bool{}
	for _, s := range todo {
		nets[s.net] = true
		if d := r.lab.sets[s.data]; !slices.Contains(sets, d) {
			sets = append(sets, d)
		}
	}
	if err := r.lab.checkDisk(sets); err != nil {
		return err
	}
	if err := r.lab.build(ctx); err != nil {
		return err
	}
	if err := r.lab.startServer(ctx); err != nil {
		return err
	}
	starts := map[string]func(context.Context) (network, error){netLatency: r.lab.startLatency, netThrottle: r.lab.startThrottle}
	for name := range nets {
		if start := starts[name]; start != nil {
			n, err := start(ctx)
			if err != nil {
				return err
			}
			r.lab.nets[name] = n
		}
	}
	return r.lab.seed(ctx, sets)
}

// repeats runs all scenarios, again and again: a machine whose speed drifts does so
// for all of them.
func (r *runner) repeats(ctx context.Context, todo []scenario) error {
	all := r.lab.contenders(ctx, r.peers)
	for _, c := range all {
		r.report.Programs[c.name] = strings.TrimSpace(c.version + " " + c.missing)
	}
	if r.peers {
		r.report.Notes = append(r.report.Notes, fmt.Sprintf("of small files the peers read the first of %d parts", peerFiles))
	}
	for i := range r.repeat {
		for _, s := range todo {
			if i > 0 && time.Since(r.begin) > r.budget {
				r.report.Notes = append(r.report.Notes, fmt.Sprintf("the budget of %s ended in repeat %d, before %s", r.budget, i+1, s.name))
				return nil
			}
			r.scenario(ctx, s, all, i)
			if ctx.Err() != nil {
				return ctx.Err()
			}
		}
	}
	return nil
}

// scenario lets the contenders take turns.
func (r *runner) scenario(ctx context.Context, s scenario, all []contender, repeat int) {
	begin := time.Now()
	for i := range all {
		c := all[(i+repeat)%len(all)] // who comes first has no luck of its own
		if slices.Contains(s.skip, c.name) || (c.name == nameBare && !hasBare(s)) {
			continue
		}
		n := r.lab.nets[s.net]
		if why := c.missing + n.missing; why != "" {
			for _, st := range s.stages {
				r.cell(s, st, c).Note = "n/a: " + why
			}
			continue
		}
		r.peerTurn(ctx, s, c, n, repeat)
	}
	say("%-32s repeat %d: %.1f s", s.name, repeat+1, time.Since(begin).Seconds())
}

// peerTurn measures a contender; a peer that takes long is not measured again.
func (r *runner) peerTurn(ctx context.Context, s scenario, c contender, n network, repeat int) {
	key := s.name + " " + c.name
	if r.slow[key] {
		return
	}
	begin := time.Now()
	r.turn(ctx, s, c, n, repeat)
	if took := time.Since(begin); took > slowTurn && c.isPeer() && repeat+1 < r.repeat {
		r.slow[key] = true
		r.report.Notes = append(r.report.Notes, fmt.Sprintf("%s, %s: measured %d times only, since it takes %.0f s", s.name, c.name, repeat+1, took.Seconds()))
	}
}

func hasBare(s scenario) bool {
	return slices.ContainsFunc(s.stages, func(st stage) bool { return st.bare != "" })
}

func (r *runner) cell(s scenario, st stage, c contender) *cell {
	return r.report.cell(s.row(st), s.unitOf(st), st.ref, c.name)
}

// turn measures one contender in all stages of a scenario.
func (r *runner) turn(ctx context.Context, s scenario, c contender, n network, repeat int) {
	fail := func(st stage, err error) {
		r.cell(s, st, c).Note = "failed: " + err.Error()
		say("%s of %s failed: %v", s.row(st), c.name, err)
	}
	set := r.lab.sets[s.data]
	p, err := r.lab.newSite(c, set, n)
	if err == nil {
		defer p.close()
		if c.name == nameDisk {
			p.root = r.lab.path("disk", set.name)
			err = r.forgetAll(ctx, p)
		} else if !set.listed {
			err = readTree(ctx, filepath.Join(r.lab.data, set.name)) // the server is warm, always
		}
	}
	if err == nil && c.mount != nil && !isCommand(s, kindMount) {
		err = c.mount(ctx, p)
	}
	if err != nil {
		for _, st := range s.stages {
			r.cell(s, st, c).Note = "failed: " + err.Error()
		}
		say("%s of %s failed: %v", s.name, c.name, err)
		return
	}
	for _, st := range s.stages {
		if c.name == nameBare && st.bare == "" {
			continue
		}
		if err := r.stage(ctx, s, st, c, p, repeat); err != nil {
			fail(st, err)
			if ctx.Err() != nil {
				return
			}
		}
	}
	r.check(ctx, s, c, p)
}

func isCommand(s scenario, kind string) bool { return s.stages[0].kind == kind }

// stage prepares and measures one stage.
func (r *runner) stage(ctx context.Context, s scenario, st stage, c contender, p *site, repeat int) error {
	ctx, cancel := context.WithTimeout(ctx, r.limit)
	defer cancel()
	if c.name != nameBare {
		if err := r.prep(ctx, st, c, p); err != nil {
			return err
		}
	}
	pids := marked(p.mark)
	resetPeaks(pids)
	before, sent := usageOf(pids), written(r.lab.pid)
	requests, throttled := r.traffic(s)
	out, err := r.timed(ctx, s, st, c, p)
	if err != nil {
		return err
	}
	if st.kind == kindMount {
		pids = marked(p.mark)
	}
	after := usageOf(pids)
	if c.name == nameBare {
		after, before = usage{out.CPU, out.RSS}, usage{}
	}
	v := sample{
		Repeat: repeat, Seconds: out.Seconds, Bytes: out.Bytes, Ops: out.Ops, P50: out.P50, P99: out.P99, Errors: out.Errors,
		CPU: after.cpu - before.cpu, RSS: after.rss, ReaderCPU: out.CPU, Sent: written(r.lab.pid) - sent,
	}
	now, refused := r.traffic(s)
	v.Requests, v.Throttled = now-requests, refused-throttled
	v.Value = units()[s.unitOf(st)].value(v)
	cell := r.cell(s, st, c)
	cell.Samples = append(cell.Samples, v)
	if out.Errors > 0 {
		cell.Note = fmt.Sprintf("%d of %d failed: %s", out.Errors, out.Ops, out.First)
		if s.net != netThrottle {
			cell.Samples = cell.Samples[:len(cell.Samples)-1]
			return errors.New(cell.Note)
		}
	}
	return nil
}

func (r *runner) traffic(s scenario) (requests, throttled int64) {
	if traffic := r.lab.nets[s.net].traffic; traffic != nil {
		return traffic()
	}
	return 0, 0
}

// prep does what comes before a stage.
func (r *runner) prep(ctx context.Context, st stage, c contender, p *site) error {
	for _, what := range st.prep {
		var err error
		switch {
		case what == prepDrop:
			err = r.forgetAll(ctx, p)
		case what == prepRest:
			err = r.rest(ctx, c, p)
		case what == prepWarm && c.isPinfs() && r.lab.can.warm:
			err = r.lab.warm(ctx, p, r.limit)
		default:
			_, err = r.read(ctx, job{Kind: "files", Root: p.root, Files: c.share(p.set), Readers: 1, Block: 1 << 20})
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// rest waits until pinfs has nothing under way.
func (r *runner) rest(ctx context.Context, c contender, p *site) error {
	if !c.isPinfs() {
		return nil
	}
	var failed error
	err := until(ctx, r.limit, "be at rest", func() bool {
		var busy bool
		busy, failed = r.lab.busy(ctx, p)
		return !busy || failed != nil
	})
	return errors.Join(err, failed)
}

// forgetAll makes the kernel forget a mount and the cache behind it.
func (r *runner) forgetAll(ctx context.Context, p *site) error {
	if r.drop != nil {
		return r.drop
	}
	files := r.forget == forgetFiles
	if files {
		if _, err := r.read(ctx, job{Kind: kindForget, Root: p.root}); err != nil {
			return err
		}
	}
	if err := forgetFilesBelow(ctx, p.cache, files); err != nil || files {
		return err
	}
	return dropCaches()
}

// check compares the contents once for each contender and set.
func (r *runner) check(ctx context.Context, s scenario, c contender, p *site) {
	key := c.name + " " + s.data
	if !r.verify || r.verified[key] || p.set.listed || isCommand(s, kindMount) {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, r.limit)
	defer cancel()
	r.verified[key] = true
	j := job{Kind: "verify", Root: p.root, Files: c.share(p.set), Block: 1 << 20}
	if c.name == nameBare {
		j.Kind, j.S3 = "s3-verify", r.lab.place(r.lab.nets[s.net], p.set, 1)
	}
	out, err := r.read(ctx, j)
	if err == nil && out.Errors == 0 {
		return
	}
	note := fmt.Sprintf("%s: the contents of %s could not be compared: %v", c.name, s.data, err)
	if err == nil {
		note = fmt.Sprintf("%s served wrong contents of %s: %d of %d: %s", c.name, s.data, out.Errors, out.Ops, out.First)
		r.wrong = append(r.wrong, errors.New(note))
	}
	say("%s", note)
	r.report.Notes = append(r.report.Notes, note)
}

// timed runs what is measured.
func (r *runner) timed(ctx context.Context, s scenario, st stage, c contender, p *site) (outcome, error) {
	switch {
	case c.name == nameBare:
		return r.bare(ctx, s, st, p)
	case st.kind == kindWarm:
		if !r.lab.can.warm {
			return outcome{}, errors.New("this build has no warm")
		}
		return clocked(p.set, func() error { return r.lab.warm(ctx, p, r.limit) })
	case st.kind == kindMount:
		return r.mountTime(ctx, p)
	}
	j := s.job(p.set, st.kind, r.scale)
	j.Root = p.root
	if st.name == stageAgain {
		j.Least = leastAgain
	}
	if st.kind == "files" {
		j.Files = c.share(p.set)
	}
	return r.read(ctx, j)
}

// bare gives the best of the ways that the scenario allows the bare client.
func (r *runner) bare(ctx context.Context, s scenario, st stage, p *site) (best outcome, err error) {
	for i, parallel := range s.parallel {
		j := s.job(p.set, st.bare, r.scale)
		j.S3 = r.lab.place(r.lab.nets[s.net], p.set, parallel)
		out, err := r.read(ctx, j)
		if err != nil {
			return out, err
		}
		if i == 0 || out.Seconds < best.Seconds {
			best = out
		}
	}
	return best, nil
}

// clocked times a command that does something to each file of a set.
func clocked(set *dataset, run func() error) (outcome, error) {
	begin := time.Now()
	err := run()
	took := time.Since(begin).Seconds()
	return outcome{Seconds: took, P50: took, Ops: int64(set.count), Bytes: int64(set.count) * set.size}, err
}

// mountTime mounts in the background, as users do: the command returns when the mount answers.
func (r *runner) mountTime(ctx context.Context, p *site) (outcome, error) {
	env := append(r.lab.pinfsEnv(p.endpoint, p.cache), markName+"="+p.mark)
	p.closes = append(p.closes, func() {
		_, _ = output(context.Background(), stopLimit, env, r.lab.pinfs, "umount", p.root)
		unmount(p.root)
		reap(p.mark)
	})
	return clocked(p.set, func() error {
		_, err := output(ctx, mountLimit, env, r.lab.pinfs, "mount", "bench/"+p.set.name+":v0", p.root)
		return err
	})
}

// read runs a reader process.
func (r *runner) read(ctx context.Context, j job) (o outcome, err error) {
	data, err := json.Marshal(j)
	if err != nil {
		return o, err
	}
	cmd := command(ctx, nil, r.self, readerName)
	var out, errs bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(data), &out, &errs
	if err := cmd.Run(); err != nil {
		if ctx.Err() != nil {
			return o, fmt.Errorf("not done within the limit: %w", ctx.Err())
		}
		return o, fmt.Errorf("reader: %w: %s", err, tail(errs.String()))
	}
	return o, json.Unmarshal(out.Bytes(), &o)
}
