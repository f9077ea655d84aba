package main

import (
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// machine describes where a run took place.
type machine struct {
	CPU     string `json:"cpu"`
	Cores   int    `json:"cores"`
	Memory  int64  `json:"memory"` // bytes
	Kernel  string `json:"kernel"`
	Disk    string `json:"disk"` // file system, device, whether it turns
	Go      string `json:"go"`
	Root    bool   `json:"root"`
	LoadAvg string `json:"load"` // when the run began
}

func describe(dir string) machine {
	m := machine{Cores: runtime.NumCPU(), Go: runtime.Version(), Root: os.Geteuid() == 0, CPU: fieldOf("/proc/cpuinfo", "model name")}
	kib, _ := strconv.ParseInt(strings.TrimSuffix(fieldOf("/proc/meminfo", "MemTotal"), " kB"), 10, 64)
	m.Memory = kib << 10
	m.Kernel = word("/proc/sys/kernel/osrelease")
	m.LoadAvg = word("/proc/loadavg")
	m.Disk = diskOf(dir)
	return m
}

// fieldOf gives the first "name: value" of a file of /proc.
func fieldOf(path, name string) string {
	data, err := os.ReadFile(path)
	if err != nil {
		return ""
	}
	for line := range strings.Lines(string(data)) {
		key, value, ok := strings.Cut(line, ":")
		if ok && strings.TrimSpace(key) == name {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

// word gives the first word of a file.
func word(path string) string {
	data, err := os.ReadFile(path)
	fields := strings.Fields(string(data))
	if err != nil || len(fields) == 0 {
		return ""
	}
	return fields[0]
}

// diskOf tells the file system and the device that hold dir.
func diskOf(dir string) string {
	var st unix.Stat_t
	if unix.Stat(dir, &st) != nil {
		return ""
	}
	dev := strconv.FormatUint(uint64(unix.Major(st.Dev)), 10) + ":" + strconv.FormatUint(uint64(unix.Minor(st.Dev)), 10)
	data, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return dev
	}
	for line := range strings.Lines(string(data)) {
		fields := strings.Fields(line)
		if len(fields) < 9 || fields[2] != dev {
			continue
		}
		_, tail, _ := strings.Cut(line, " - ")
		if kind := strings.Fields(tail); len(kind) > 1 {
			return kind[0] + " on " + kind[1] + turning(dev)
		}
	}
	return dev
}

func turning(dev string) string {
	switch word(filepath.Join("/sys/dev/block", dev, "queue/rotational")) {
	case "1":
		return " (says it rotates)"
	case "0":
		return " (solid state)"
	}
	return ""
}
