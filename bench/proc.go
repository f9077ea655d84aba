package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

const (
	ticks     = 100 // per second, in /proc/PID/stat
	markName  = "PINFS_BENCH_MARK"
	pollPause = 5 * time.Millisecond
)

// marked gives the processes that have the mark in their environment.
func marked(mark string) (pids []int) {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil
	}
	want := []byte(markName + "=" + mark)
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil || pid == os.Getpid() {
			continue
		}
		env, err := os.ReadFile(filepath.Join("/proc", e.Name(), "environ"))
		if err == nil && slices.ContainsFunc(bytes.Split(env, []byte{0}), func(v []byte) bool { return bytes.Equal(v, want) }) {
			pids = append(pids, pid)
		}
	}
	return pids
}

// usage is what processes have used so far.
type usage struct {
	cpu float64 // seconds
	rss int64   // the sum of their peaks, in bytes
}

func usageOf(pids []int) (u usage) {
	for _, pid := range pids {
		u.cpu += cpuOf(pid)
		u.rss += statusKiB(pid, "VmHWM:") << 10
	}
	return u
}

// resetPeaks makes the peak of each process what it has now.
func resetPeaks(pids []int) {
	for _, pid := range pids {
		_ = os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", pid), []byte("5"), 0) // else the peak is that of earlier stages too
	}
}

// cpuOf is the time of a process with the children that it has waited for.
func cpuOf(pid int) float64 {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0
	}
	_, rest, _ := strings.Cut(string(data), ") ") // the name may have blanks
	fields := strings.Fields(rest)
	if len(fields) < 15 {
		return 0
	}
	used := 0.0
	for _, field := range fields[11:15] { // utime, stime, and those of the children
		n, _ := strconv.ParseFloat(field, 64)
		used += n
	}
	return used / ticks
}

func statusKiB(pid int, name string) int64 {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(data)) {
		if fields := strings.Fields(line); len(fields) > 1 && fields[0] == name {
			n, _ := strconv.ParseInt(fields[1], 10, 64)
			return n
		}
	}
	return 0
}

// written is how many bytes a process has given to write(2) and sendfile(2): of a
// server, what it sent.
func written(pid int) int64 {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/io", pid))
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(data)) {
		if n, ok := strings.CutPrefix(strings.TrimSpace(line), "wchar: "); ok {
			sent, _ := strconv.ParseInt(n, 10, 64)
			return sent
		}
	}
	return 0
}

// childNamed finds a process that this one started.
func childNamed(name string) (int, error) {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return 0, err
	}
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		data, err := os.ReadFile(filepath.Join("/proc", e.Name(), "stat"))
		if err != nil {
			continue
		}
		head, rest, _ := strings.Cut(string(data), ") ")
		fields := strings.Fields(rest)
		if strings.HasSuffix(head, "("+name) && len(fields) > 1 && fields[1] == strconv.Itoa(os.Getpid()) {
			return pid, nil
		}
	}
	return 0, fmt.Errorf("no process %s was started", name)
}

// isMounted asks the kernel's table, never the mount.
func isMounted(dir string) bool {
	return slices.Contains(mountsBelow(dir), dir)
}

// mountsBelow gives the mount points at and below dir.
func mountsBelow(dir string) (dirs []string) {
	data, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return nil
	}
	for line := range strings.Lines(string(data)) {
		if fields := strings.Fields(line); len(fields) > 4 && (fields[4] == dir || strings.HasPrefix(fields[4], dir+"/")) {
			dirs = append(dirs, fields[4])
		}
	}
	return dirs
}

// until waits for a condition.
func until(ctx context.Context, limit time.Duration, what string, done func() bool) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	for !done() {
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s: not within %s", what, limit)
		case <-time.After(pollPause):
		}
	}
	return nil
}
