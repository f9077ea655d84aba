package integration_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/pinfs/pinfs/testwarden"
)

// maxExposure is ten times the level that systemd-analyze may give a unit.
const maxExposure = "40"

// units copies the unit files to a directory of their own, with the built command for
// the installed one.
func units(t *testing.T) []string {
	t.Helper()
	all, err := filepath.Glob("../packaging/systemd/*.service")
	if err != nil || len(all) != 2 {
		t.Fatalf("unit files: %v, %v", all, err)
	}
	dir := t.TempDir()
	var copies []string
	for _, path := range all {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		name := strings.Replace(filepath.Base(path), "@.", "@some.", 1)
		path = filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(strings.ReplaceAll(string(text), "/usr/bin/pinfs", shared.bin)), 0o644); err != nil {
			t.Fatal(err)
		}
		copies = append(copies, path)
	}
	return copies
}

// analyze runs systemd-analyze, which needs no running systemd for these.
func analyze(t *testing.T, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	out, err := testwarden.Command(ctx, "systemd-analyze", args...).CombinedOutput()
	if err != nil {
		t.Errorf("systemd-analyze %s: %v (it comes with systemd: integration/tools.sh install test)\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

// TestUnitFiles: systemd understands every line of them, and they give a process no
// more than it needs.
func TestUnitFiles(t *testing.T) {
	for _, path := range units(t) {
		if out := analyze(t, "verify", "--man=no", path); out != "" {
			t.Errorf("%s: %s", filepath.Base(path), out)
		}
		out := analyze(t, "security", "--offline=true", "--threshold="+maxExposure, path)
		if !strings.Contains(out, "Overall exposure level for "+filepath.Base(path)) {
			t.Errorf("%s: %s", filepath.Base(path), out)
		}
	}
}

// TestUnitsShowTheirMounts: with any of these the service has a mount namespace, and
// nobody else sees what it mounts.
func TestUnitsShowTheirMounts(t *testing.T) {
	hiding := []string{"ProtectSystem", "ProtectHome", "PrivateTmp", "PrivateDevices", "PrivateMounts", "PrivateUsers", "PrivateIPC", "ProtectKernelTunables",
		"ProtectKernelModules", "ProtectKernelLogs", "ProtectControlGroups", "ProtectProc", "ProcSubset", "ReadOnlyPaths", "ReadWritePaths", "InaccessiblePaths",
		"ExecPaths", "NoExecPaths", "BindPaths", "BindReadOnlyPaths", "TemporaryFileSystem", "RootDirectory", "RootImage", "MountImages", "ExtensionImages",
		"MountFlags", "DynamicUser", "LogNamespace"}
	for _, path := range units(t) {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(text)) {
			for _, key := range hiding {
				if strings.HasPrefix(line, key+"=") {
					t.Errorf("%s: %s", filepath.Base(path), line)
				}
			}
		}
	}
}

// TestStopUnmounts: a unit that was stopped unmounts what its process left, one whose
// process is replaced does not.
func TestStopUnmounts(t *testing.T) {
	text, err := os.ReadFile("../packaging/systemd/pinfs.service")
	if err != nil {
		t.Fatal(err)
	}
	_, script, found := strings.Cut(string(text), "ExecStopPost=-/bin/sh -c '")
	script, _, ends := strings.Cut(script, "'\n")
	if !found || !ends {
		t.Fatal("no ExecStopPost=")
	}
	h := newHost(t)
	data := filepath.Join(h.dir, "data")
	if err := errors.Join(os.Mkdir(data, 0o755), os.WriteFile(filepath.Join(data, "file"), nil, 0o644)); err != nil {
		t.Fatal(err)
	}
	h.put("set", data)
	mnt, _ := h.mountUntil("set:v0")
	defer h.waitGone()
	pid := h.status().Daemon.PID
	if err := unix.Kill(pid, unix.SIGSTOP); err != nil { // held, and not served
		t.Fatal(err)
	}
	defer unix.Kill(pid, unix.SIGCONT)
	for _, c := range []struct {
		result, status string
		stays          bool
	}{{"signal", "KILL", true}, {"exit-code", "1", true}, {"watchdog", "ABRT", true}, {"success", "75", true}, {"success", "0", false}, {"success", "0", false}} {
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		cmd := testwarden.Command(ctx, "sh", "-c", strings.ReplaceAll(script, "$$", "$"))
		cmd.Env = append(h.env, "SERVICE_RESULT="+c.result, "EXIT_STATUS="+c.status, "PINFS_DIR="+mnt)
		out, err := cmd.CombinedOutput()
		cancel()
		info, readErr := os.ReadFile("/proc/self/mountinfo") // to ask the mount itself could take for ever
		if readErr != nil {
			t.Fatal(readErr)
		}
		if stays := strings.Contains(string(info), " "+mnt+" "); stays != c.stays || err != nil {
			t.Errorf("%s %s: mounted %v, want %v: %v\n%s", c.result, c.status, stays, c.stays, err, out)
		}
	}
}

// inNamespace shows only mount.pinfs where mount(8) looks for the helpers of file
// systems, and mounts as fstab does.
const inNamespace = leaveOthers + `
set -e
mount -t tmpfs -o mode=755 tmpfs /usr/sbin
ln -s "$1" /usr/sbin/mount.pinfs
printf '%s %s pinfs ro,nofail,_netdev,noatime,x-systemd.automount,uid=7 0 0\n' "$2" "$3" >"$4"
mount -T "$4" "$3"
cat "$3/file"
stat -c %u "$3/file"
umount "$3"
`

// TestFstab: mount(8) mounts by a line of fstab, and unmounts.
func TestFstab(t *testing.T) {
	h := newHost(t)
	data, mnt := filepath.Join(h.dir, "data"), filepath.Join(h.dir, "mnt")
	for _, dir := range []string{data, mnt} {
		if err := os.Mkdir(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(data, "file"), []byte("content\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	h.put("set", data)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := testwarden.Command(ctx, "unshare", "--mount", "sh", "-c", inNamespace, "sh", shared.bin, "set:v0", mnt, filepath.Join(h.dir, "fstab"))
	cmd.Env = h.env
	if out, err := cmd.CombinedOutput(); err != nil || string(out) != "content\n7\n" {
		t.Errorf("got %q, %v", out, err)
	}
}
