package main

import (
	"context"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"io"
	"math/rand/v2"
	"os"
	"slices"
	"sync"
	"syscall"
	"time"
)

// job is what a reader process does, given as JSON on its standard input.
type job struct {
	Kind    string   `json:"kind"` // of readKinds
	Root    string   `json:"root"`
	Files   []file   `json:"files"`
	Readers int      `json:"readers"`
	Block   int      `json:"block"`   // bytes of one read
	Ops     int      `json:"ops"`     // random reads in all
	Shuffle bool     `json:"shuffle"` // the order of the files
	Least   float64  `json:"least"`   // seconds: done again and again, as a whole, for so long
	Seed    uint64   `json:"seed"`
	S3      *s3Place `json:"s3,omitempty"` // instead of Root: the bare client
}

// file is one file of a data set.
type file struct {
	Path string `json:"path"`
	Size int64  `json:"size"`
	CRC  uint32 `json:"crc"` // Castagnoli, of the whole
}

// outcome is what a reader process did, given as JSON on its standard output.
type outcome struct {
	Seconds float64 `json:"seconds"`
	Bytes   int64   `json:"bytes"`
	Ops     int64   `json:"ops"`
	CPU     float64 `json:"cpu"` // seconds of the reader process itself
	RSS     int64   `json:"rss"` // its peak
	P50     float64 `json:"p50"` // seconds of one operation
	P99     float64 `json:"p99"`
	Errors  int     `json:"errors"`
	First   string  `json:"first,omitempty"` // the first error
}

// tally collects what the readers of one process did.
type tally struct {
	mu    sync.Mutex
	out   outcome   // guarded by mu
	times []float64 // guarded by mu
	table *crc32.Table
	sum   byte // of what mappings gave, so that they are read
}

// op adds one operation that took from start until now.
func (t *tally) op(start time.Time, n int64, err error) {
	took := time.Since(start).Seconds()
	t.mu.Lock()
	defer t.mu.Unlock()
	t.out.Ops++
	t.out.Bytes += n
	t.times = append(t.times, took)
	if err != nil {
		t.out.Errors++
		if t.out.First == "" {
			t.out.First = err.Error()
		}
	}
}

// readKinds are the ways to read, by a job's Kind.
func readKinds() map[string]func(context.Context, job, *tally) error {
	return map[string]func(context.Context, job, *tally) error{
		"files":       readFiles,
		"random":      readRandom,
		"first":       readFirst,
		"mmap":        readMapped,
		"mmap-random": readMappedRandom,
		"names":       walkNames,
		"attributes":  walkAttributes,
		"verify":      verifyFiles,
		kindForget:    forgetMounted,
		"s3-files":    s3Files,
		"s3-random":   s3Random,
		"s3-first":    s3First,
		"s3-walk":     s3Walk,
		"s3-verify":   s3Verify,
	}
}

// runReader is the whole of a reader process.
func runReader(ctx context.Context, in io.Reader, out io.Writer) error {
	var j job
	if err := json.NewDecoder(in).Decode(&j); err != nil {
		return fmt.Errorf("read the job: %w", err)
	}
	read, ok := readKinds()[j.Kind]
	if !ok {
		return fmt.Errorf("no way to read is called %q", j.Kind)
	}
	if j.Shuffle {
		rand.New(rand.NewPCG(j.Seed, 1)).Shuffle(len(j.Files), func(a, b int) { j.Files[a], j.Files[b] = j.Files[b], j.Files[a] })
	}
	t := &tally{table: crc32.MakeTable(crc32.Castagnoli)}
	cpu, start := ownCPU(), time.Now()
	err := read(ctx, j, t)
	t.out.Seconds = time.Since(start).Seconds()
	t.out.CPU = ownCPU() - cpu
	if err != nil {
		return err
	}
	t.out.P50, t.out.P99 = quantile(t.times, 0.5), quantile(t.times, 0.99)
	t.out.RSS = statusKiB(os.Getpid(), "VmHWM:") << 10 // getrusage's has that of who forked
	return json.NewEncoder(out).Encode(t.out)
}

// passes does something once, and again until it took as long as the job wants.
func passes(ctx context.Context, j job, once func() error) error {
	for begin := time.Now(); ; {
		if err := once(); err != nil {
			return err
		}
		if time.Since(begin).Seconds() >= j.Least || ctx.Err() != nil {
			return ctx.Err()
		}
	}
}

// ownCPU is what this process has used so far, in seconds.
func ownCPU() float64 {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		return 0
	}
	return float64(usage.Utime.Nano()+usage.Stime.Nano()) / 1e9
}

// quantile sorts times. It is 0 when there are none.
func quantile(times []float64, q float64) float64 {
	if len(times) == 0 {
		return 0
	}
	slices.Sort(times)
	return times[min(int(q*float64(len(times))), len(times)-1)]
}

// apart runs one function for each reader, at once.
func apart(readers int, run func(reader int)) {
	var wg sync.WaitGroup
	for r := range max(readers, 1) {
		wg.Go(func() { run(r) })
	}
	wg.Wait()
}
