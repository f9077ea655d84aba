package fusefs

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// fsType is the type of our mounts in mountinfo.
const fsType = "fuse.pinfs"

// mountInfo is what /proc/self/mountinfo says of a mount.
type mountInfo struct {
	device string // "major:minor"
	point  string
	fsType string
	source string
}

// mountAt gives the topmost mount at an absolute path without symlinks.
func mountAt(dir string) (mountInfo, bool, error) {
	file, err := os.Open("/proc/self/mountinfo")
	if err != nil {
		return mountInfo{}, false, err
	}
	defer file.Close()
	var found mountInfo
	var ok bool
	lines := bufio.NewScanner(file)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		if m, valid := parseMountInfo(lines.Text()); valid && m.point == dir {
			found, ok = m, true // later lines are mounted on top
		}
	}
	return found, ok, lines.Err()
}

// parseMountInfo reads one line; the format is in proc_pid_mountinfo(5).
func parseMountInfo(line string) (mountInfo, bool) {
	before, after, ok := strings.Cut(line, " - ")
	left, right := strings.Fields(before), strings.Fields(after)
	if !ok || len(left) < 5 || len(right) < 2 {
		return mountInfo{}, false
	}
	return mountInfo{device: left[2], point: unescapeMount(left[4]), fsType: right[0], source: unescapeMount(right[1])}, true
}

// unescapeMount undoes the kernel's \ooo for space, tab, newline and backslash.
func unescapeMount(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+4 <= len(s) {
			if c, err := strconv.ParseUint(s[i+1:i+4], 8, 8); err == nil {
				b.WriteByte(byte(c))
				i += 3
				continue
			}
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

// resolveDir makes a mount point absolute and free of symlinks. It does not touch
// what is mounted there, which may be dead or not answer.
func resolveDir(dir string) (string, error) {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return "", fmt.Errorf("resolve %s: %w", dir, err)
	}
	parent, err := filepath.EvalSymlinks(filepath.Dir(abs))
	if err != nil {
		return "", err
	}
	point := filepath.Join(parent, filepath.Base(abs))
	if _, mounted, err := mountAt(point); mounted || err != nil {
		return point, err
	}
	return filepath.EvalSymlinks(point)
}
