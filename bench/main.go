package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"regexp"
	"syscall"
	"time"
)

// readerName is the first argument of a reader process.
const readerName = "reader"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	var err error
	if len(os.Args) == 2 && os.Args[1] == readerName {
		err = runReader(ctx, os.Stdin, os.Stdout)
	} else {
		err = run(ctx, os.Args[1:], os.Stdout)
	}
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "bench:", err)
		stop()
		os.Exit(1)
	}
}

// say tells what goes on.
func say(format string, args ...any) { fmt.Fprintf(os.Stderr, format+"\n", args...) }

// flags are those of the command line.
type flags struct {
	options
	pattern, json, table, check, docs, from string
	list                                    bool
	worse                                   float64
}

func parse(args []string) (*flags, error) {
	f := &flags{}
	set := flag.NewFlagSet("bench", flag.ContinueOnError)
	set.StringVar(&f.pattern, "rows", ".", "measure the scenarios with a row that matches this `regexp`")
	set.IntVar(&f.repeat, "repeat", 3, "measure each `n` times")
	set.Float64Var(&f.scale, "size", 1, "`scale` of files and of their numbers")
	set.DurationVar(&f.budget, "budget", 30*time.Minute, "begin no other repeat after this `time`; all ends after one and a half")
	set.DurationVar(&f.limit, "limit", 2*time.Minute, "`time` that one contender has for one row")
	set.BoolVar(&f.peers, "peers", true, "measure the peers too")
	set.BoolVar(&f.verify, "verify", true, "compare the contents once, without a clock")
	set.StringVar(&f.forget, "forget", forgetBest(), "`how` the kernel's caches are emptied: kernel (all of it, root only), files (contents of the files read)")
	set.StringVar(&f.pinfs, "pinfs", "", "`file` of a pinfs that is built already (default: build what is here, as it is released)")
	set.StringVar(&f.parent, "dir", os.TempDir(), "`directory` on the disk to measure; is left as it was")
	set.StringVar(&f.json, "json", "", "write everything to this `file`")
	set.StringVar(&f.table, "table", "", "write the table to this `file` (default: standard output)")
	set.StringVar(&f.check, "check", "", "compare ratios with those of this JSON `file`; exit 1 when one is worse")
	set.Float64Var(&f.worse, "worse", 0.25, "`part` by which a ratio may be worse than the baseline's")
	set.StringVar(&f.docs, "docs", "", "write the generated part of this page (`file`), from -from")
	set.StringVar(&f.from, "from", "", "JSON `file` of an earlier run: measure nothing")
	set.BoolVar(&f.list, "list", false, "name the rows")
	if err := set.Parse(args); err != nil {
		return nil, err
	}
	if set.NArg() > 0 || f.repeat < 1 || f.scale <= 0 || f.scale > 1 || f.budget <= 0 || f.limit <= 0 {
		return nil, errors.New("wrong arguments; -h tells the right ones")
	}
	var err error
	f.rows, err = regexp.Compile(f.pattern)
	return f, err
}

func run(ctx context.Context, args []string, out io.Writer) error {
	f, err := parse(args)
	if err != nil {
		return err
	}
	if f.list {
		return list(out)
	}
	r, err := f.result(ctx)
	if r == nil {
		return err
	}
	return errors.Join(err, f.publish(ctx, r, out))
}

// result measures, or loads what was measured.
func (f *flags) result(ctx context.Context) (*report, error) {
	if f.from != "" {
		return load(f.from)
	}
	return measure(ctx, f.options)
}

// publish writes what was asked for.
func (f *flags) publish(ctx context.Context, r *report, out io.Writer) error {
	var errs []error
	if f.json != "" {
		errs = append(errs, r.save(f.json))
	}
	if f.docs != "" {
		errs = append(errs, writeDocs(f.docs, r))
	}
	switch text := r.markdown(); {
	case f.table != "":
		errs = append(errs, os.WriteFile(f.table, []byte(text), 0o644))
	case f.docs == "":
		_, err := io.WriteString(out, text)
		errs = append(errs, err)
	}
	if f.check != "" && ctx.Err() == nil {
		errs = append(errs, f.compare(ctx, r))
	}
	return errors.Join(errs...)
}

func list(out io.Writer) error {
	for _, s := range scenarios() {
		for _, st := range s.stages {
			if _, err := fmt.Fprintln(out, s.row(st)); err != nil {
				return err
			}
		}
	}
	return nil
}
