package share

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Detach takes a mount out of the tree without asking its file system anything. It
// gives nil when there is none.
func Detach(ctx context.Context, dir string) error {
	mounts, err := mounts()
	if err != nil || mounts[dir] == "" {
		return err
	}
	if os.Geteuid() == 0 {
		if err := unix.Unmount(dir, unix.MNT_DETACH|unix.UMOUNT_NOFOLLOW); err != nil && err != unix.EINVAL {
			return fmt.Errorf("unmount %s: %w", dir, err)
		}
		return nil
	}
	cmd := exec.CommandContext(ctx, "fusermount3", "-u", "-z", dir)
	cmd.WaitDelay = time.Second
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("fusermount3 -uz %s: %w: %s", dir, err, out)
	}
	return nil
}

// Sweep detaches the shares of processes that are gone: a process that is killed
// can't do so itself.
func Sweep(ctx context.Context) error {
	mounts, err := mounts()
	if err != nil {
		return err
	}
	for dir, source := range mounts {
		pid, ok := strings.CutPrefix(source, "pid-")
		if _, err := os.Stat("/proc/" + pid); ok && os.IsNotExist(err) {
			if err := Detach(ctx, dir); err != nil {
				return err
			}
		}
	}
	return nil
}

// mounts gives the sources of all mounts of shares by mount point.
func mounts() (map[string]string, error) {
	f, err := os.Open("/proc/self/mountinfo")
	if err != nil {
		return nil, err
	}
	defer f.Close()
	found := map[string]string{}
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		before, after, _ := strings.Cut(lines.Text(), " - ")
		where, what := strings.Fields(before), strings.Fields(after)
		if len(where) > 4 && len(what) > 1 && what[0] == Type {
			found[unescape(where[4])] = what[1]
		}
	}
	return found, lines.Err()
}

// unescape undoes what the kernel does to a mount point's name.
func unescape(s string) string {
	return strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`).Replace(s)
}
