package main

import (
	"cmp"
	"regexp"
	"slices"
)

// names of contenders
const (
	nameDisk   = "ext4"
	nameBare   = "bare"
	namePinfs  = "pinfs"
	namePass   = "passthrough"
	nameRclone = "rclone"
	nameS3FS   = "s3fs"
)

// ways to reach the store
const (
	netPlain    = ""
	netLatency  = "latency"
	netThrottle = "throttle"
)

// what is done before a stage, without a clock
const (
	prepDrop = "drop" // the kernel's caches
	prepFill = "fill" // read everything once
	prepWarm = "warm" // the same by the contender's own command, if it has one
	prepRest = "rest" // wait until pinfs has written and checked what it fetched
)

// stageAgain is the stage in which all is in the kernel's cache.
const stageAgain = "again"

// kinds of stages that are commands of pinfs instead of a reader
const (
	kindWarm  = "warm"
	kindMount = "mount"
)

// stage is one row of a scenario.
type stage struct {
	name string
	ref  string // the contender that pinfs is compared with
	prep []string
	kind string // of readKinds, or a command
	bare string // the bare client's kind; "" where it has nothing like that
	row  string // the row's name, if it is not made of the scenario's and the stage's
	unit string // if it is not the scenario's
}

// scenario is a fresh mount and what is read in it.
type scenario struct {
	name     string
	data     string // of datasets
	net      string
	unit     string // of units
	readers  int
	block    int // bytes of one read
	ops      int // random reads, at a scale of 1; 0: as many as files
	most     int // files at most; about
	shuffle  bool
	parallel []int // requests of the bare client at once; the best counts
	stages   []stage
	skip     []string // contenders
}

const (
	kib = 1 << 10
	// leastAgain is how long, in seconds, what is in the kernel's cache is read again and
	// again: at small scales once takes some milliseconds, and 2 GiB no more than 0.2 s,
	// a tenth more or less from one time to the next.
	leastAgain = 1.0
	// fioBlock is that of mountpoint-s3's jobs.
	fioBlock = 256 * kib
)

// scenarios are all of them, in the order in which they run. Names of jobs are
// those of mountpoint-s3 where it has the same.
func scenarios() []scenario {
	return slices.Concat(large(), random(), smallFiles(), walks(), slowly())
}

func files(name, ref string, prep ...string) stage {
	st := stage{name: name, ref: ref, kind: "files", prep: prep}
	if ref == nameBare {
		st.bare = "s3-files"
	}
	return st
}

func large() []scenario {
	// In the kernel's cache: of what was fetched that is the mount's, but with passthrough
	// it is that of the cache's file, which is written past it. So the contents are read
	// once more before the clock runs, the same way for all.
	again := files(stageAgain, nameDisk, prepRest, prepFill)
	stages := []stage{files("cold", nameBare), again, files("dropped", nameDisk, prepDrop)}
	return []scenario{
		{name: "sequential_read", data: "large", unit: "GB/s", readers: 1, block: fioBlock, parallel: []int{bareMost}, stages: stages},
		{name: "sequential_read_four_threads", data: "four", unit: "GB/s", readers: 4, block: fioBlock, parallel: []int{bareMost}, stages: stages},
		{name: "sequential_read_small_file", data: "medium", unit: "GB/s", readers: 1, block: fioBlock, parallel: []int{bareMost}, stages: stages},
		{name: "time_to_first_byte_read", data: "medium", unit: "ms", most: 32, shuffle: true, parallel: []int{1},
			stages: []stage{{name: "cold", ref: nameBare, kind: "first", bare: "s3-first"}}},
	}
}

func random() []scenario {
	stages := []stage{
		{name: "cold", ref: nameBare, kind: "random", bare: "s3-random"},
		{name: "dropped", ref: nameDisk, kind: "random", prep: []string{prepFill, prepRest, prepDrop}},
	}
	mapped := []stage{ // in the same mount: to fill it takes longer than all of them
		{row: "mmap_read/dropped", ref: nameDisk, kind: "mmap", unit: "GB/s", prep: []string{prepDrop}},
		{row: "mmap_random_read/dropped", ref: nameDisk, kind: "mmap-random", prep: []string{prepDrop}},
	}
	return []scenario{
		{name: "random_read_4k", data: "large", unit: "reads/s", readers: 1, block: 4 * kib, ops: 1000, parallel: []int{1}, stages: stages},
		{name: "random_read", data: "large", unit: "reads/s", readers: 1, block: fioBlock, ops: 400, parallel: []int{1}, stages: slices.Concat(stages, mapped)},
	}
}

func smallFiles() []scenario {
	one := scenario{data: "small", unit: "µs/file", readers: 1, block: fioBlock, parallel: []int{16}, skip: []string{namePass}}
	order, shuffled, warmed, warm := one, one, one, one
	order.name = "files_8k_in_order"
	order.stages = []stage{files("cold", nameBare), files("dropped", nameDisk, prepDrop), files(stageAgain, nameDisk)}
	shuffled.name, shuffled.shuffle, shuffled.readers, shuffled.parallel = "files_8k_shuffled_four_threads", true, 4, []int{4}
	shuffled.stages = []stage{files("cold", nameBare), files("dropped", nameDisk, prepDrop)}
	warmed.name = "files_8k_after_warm"
	warmed.stages = []stage{files("dropped", nameDisk, prepWarm, prepDrop), files(stageAgain, nameDisk)}
	warm.name, warm.parallel = "warm_8k", []int{8, 16, 32, 64}
	warm.skip = []string{nameDisk, namePass, nameRclone, nameS3FS}
	warm.stages = []stage{{name: "all", ref: nameBare, kind: kindWarm, bare: "s3-files"}}
	return []scenario{order, shuffled, warmed, warm}
}

func walks() []scenario {
	both := func(kind, bare string) []stage {
		return []stage{{name: "first", ref: nameDisk, kind: kind, bare: bare, prep: []string{prepDrop}}, {name: stageAgain, ref: nameDisk, kind: kind}}
	}
	ten := scenario{name: "walk_10k_names", data: "small", unit: "µs/entry", parallel: []int{1}, stages: both("names", "s3-walk"), skip: []string{namePass}}
	hundred := scenario{name: "walk_100k_names", data: "listed", unit: "µs/entry", stages: both("names", ""),
		skip: []string{namePass, nameRclone, nameS3FS}}
	tenMore, hundredMore := ten, hundred
	tenMore.name, tenMore.stages = "walk_10k_attributes", both("attributes", "")
	hundredMore.name, hundredMore.stages = "walk_100k_attributes", both("attributes", "")
	mount := scenario{name: "mount_1m", data: "huge", unit: "ms", skip: []string{nameDisk, namePass, nameRclone, nameS3FS},
		stages: []stage{{name: "answers", kind: kindMount}}}
	return []scenario{ten, tenMore, hundred, hundredMore, mount}
}

// slowly are those with 20 ms of latency, and with a server that throttles.
func slowly() []scenario {
	skip := []string{nameDisk, namePass}
	return []scenario{
		{name: "sequential_read_20ms", data: "one", net: netLatency, unit: "GB/s", readers: 1, block: fioBlock, parallel: []int{bareMost},
			stages: []stage{files("cold", nameBare)}, skip: skip},
		{name: "random_read_4k_20ms", data: "large", net: netLatency, unit: "ms", readers: 1, block: 4 * kib, ops: 64, parallel: []int{1},
			stages: []stage{{name: "cold", ref: nameBare, kind: "random", bare: "s3-random"}}, skip: skip},
		{name: "time_to_first_byte_read_20ms", data: "medium", net: netLatency, unit: "ms", most: 16, shuffle: true, parallel: []int{1},
			stages: []stage{{name: "cold", ref: nameBare, kind: "first", bare: "s3-first"}}, skip: skip},
		{name: "files_8k_in_order_20ms", data: "fewer", net: netLatency, unit: "µs/file", readers: 1, block: fioBlock, parallel: []int{16},
			stages: []stage{files("cold", nameBare)}, skip: skip},
		{name: "files_8k_throttled_16_threads", data: "fewer", net: netThrottle, unit: "µs/file", readers: 16, block: fioBlock, parallel: []int{16},
			stages: []stage{files("cold", nameBare)}, skip: skip},
	}
}

// row is the name of a stage's row.
func (s scenario) row(st stage) string { return cmp.Or(st.row, s.name+"/"+st.name) }

// unitOf is the unit of a stage's row.
func (s scenario) unitOf(st stage) string { return cmp.Or(st.unit, s.unit) }

// wanted are the scenarios that have a row that matches.
func wanted(rows *regexp.Regexp) (all []scenario) {
	for _, s := range scenarios() {
		if slices.ContainsFunc(s.stages, func(st stage) bool { return rows.MatchString(s.row(st)) }) {
			all = append(all, s)
		}
	}
	return all
}

// job is what the readers of a stage do.
func (s scenario) job(d *dataset, kind string, scale float64) job {
	j := job{Kind: kind, Files: d.files, Readers: max(s.readers, 1), Block: max(s.block, 4*kib), Shuffle: s.shuffle, Seed: 4}
	if step := len(d.files) / max(s.most, 1); s.most > 0 && step > 1 { // not neighbours, which may have been read ahead
		j.Files = nil
		for i := 0; i < step*s.most; i += step {
			j.Files = append(j.Files, d.files[i])
		}
	}
	j.Ops = len(j.Files)
	if s.ops > 0 {
		j.Ops = max(int(float64(s.ops)*scale), min(s.ops, 32))
	}
	return j
}
