package testwarden

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// cleanUp ends what is left of the tests, and tells whether anything was.
func (w *warden) cleanUp() (dirty bool) {
	select {
	case <-w.alone:
	case <-w.told: // nobody wants to wait
	case <-time.After(lingerWait):
	}
	for until := time.Now().Add(killWait); ; time.Sleep(50 * time.Millisecond) {
		left := children()
		if len(left) == 0 {
			break
		}
		if time.Now().After(until) {
			fmt.Println("testwarden: can't be killed:", strings.Join(describe(left), "; "))
			break
		}
		if !dirty {
			fmt.Println("FAIL: the tests left processes running, killed now:", strings.Join(describe(left), "; "))
		}
		dirty = true
		for _, pid := range left { // what they leave comes to us, for the next round
			_ = unix.Kill(pid, unix.SIGKILL)
		}
	}
	if points := w.unmountAll(); len(points) > 0 {
		fmt.Println("FAIL: the tests left mounts, unmounted now:", strings.Join(points, " "))
		return true
	}
	return dirty
}

// children lists the living processes whose parent is this one.
func children() (pids []int) {
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, path := range stats {
		stat, _ := os.ReadFile(path) // it may have ended
		_, rest, ok := strings.Cut(string(stat), ") ")
		f := strings.Fields(rest) // state, parent
		if !ok || len(f) < 2 || f[1] != strconv.Itoa(os.Getpid()) || f[0] == "X" || f[0] == "Z" && !hasThreads(path) {
			continue
		}
		if pid, err := strconv.Atoi(filepath.Base(filepath.Dir(path))); err == nil {
			pids = append(pids, pid)
		}
	}
	return pids
}

// hasThreads tells of a process whose first thread has ended whether others have
// not: one that hangs while it is being killed.
func hasThreads(stat string) bool {
	tasks, _ := os.ReadDir(filepath.Join(filepath.Dir(stat), "task"))
	return len(tasks) > 1
}

// describe gives pids with commands.
func describe(pids []int) (all []string) {
	for _, pid := range pids {
		// Not its arguments: to read those of a stuck process may take for ever.
		name, _ := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid))
		exe, _ := os.Readlink(fmt.Sprintf("/proc/%d/exe", pid))
		all = append(all, fmt.Sprintf("%d %s (%s)", pid, bytes.TrimSpace(name), exe))
	}
	return all
}

// showThreads prints where the child's threads wait in the kernel, as far as this
// user may see it.
func (w *warden) showThreads() {
	for _, pid := range append(children(), w.pid) {
		tasks, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/[0-9]*", pid))
		for _, task := range tasks {
			stack, _ := os.ReadFile(task + "/stack")
			if bytes.Contains(stack, []byte("fuse")) {
				fmt.Printf("testwarden: %s waits for a mount:\n%s", task, stack)
			}
		}
	}
}

// mounts lists what is mounted below the child's TMPDIR, inner ones first.
func (w *warden) mounts() (points []string) {
	info, _ := os.ReadFile("/proc/self/mountinfo")
	for line := range strings.Lines(string(info)) {
		if f := strings.Fields(line); len(f) > 4 && strings.HasPrefix(f[4], w.tmp+"/") {
			points = append(points, strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`).Replace(f[4]))
		}
	}
	slices.Reverse(points)
	return points
}

// unmountAll takes away what is mounted below the child's TMPDIR and lists it.
func (w *warden) unmountAll() []string {
	points := w.mounts()
	done := make(chan struct{})
	go func() {
		defer close(done)
		for _, point := range points {
			// FORCE ends a FUSE connection: who waits for it gets an error.
			_ = unix.Unmount(point, unix.MNT_FORCE|unix.MNT_DETACH|unix.UMOUNT_NOFOLLOW)
		}
	}()
	select {
	case <-done:
	case <-time.After(killWait):
	}
	return points
}
