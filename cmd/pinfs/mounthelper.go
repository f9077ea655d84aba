package main

import (
	"context"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"
)

// helperName is how mount(8) calls this program for `mount -t pinfs` and for the lines
// of fstab:
//
//	mount.pinfs SOURCE DIR [-sfnv] [-o OPTIONS] [-t TYPE] [-N NAMESPACE]
//
// SOURCE is what `pinfs mount` takes, "none" for all projects. OPTIONS are its flags and
// the global ones; those of all file systems change nothing: a mount is read-only,
// nosuid and nodev, and has no files that can be executed.
const helperName = "mount.pinfs"

// Exit codes of mount(8).
const (
	mountDone        = 0
	mountUsage       = 1
	mountInterrupted = 8
	mountFailed      = 32
)

// isMountHelper tells whether this program was called as mount.pinfs.
func isMountHelper(args []string) bool {
	return len(args) > 0 && filepath.Base(args[0]) == helperName
}

// mountHelper mounts as mount(8) wants it and gives its exit code.
func (a *app) mountHelper(ctx context.Context, args []string) int {
	var h helper
	if err := h.parse(args[1:], append(a.mountCommand().Flags, globalFlags()...)); err != nil {
		fmt.Fprintln(a.stderr, errorLine(err))
		return mountUsage
	}
	if h.fake {
		return mountDone
	}
	if !h.verbose {
		a.stdout = io.Discard
	}
	switch a.run(ctx, h.command()) {
	case exitDone:
		return mountDone
	case exitUsage:
		return mountUsage
	case exitInterrupted:
		return mountInterrupted
	}
	return mountFailed
}

// helper is one call by mount(8).
type helper struct {
	places        []string // source, directory
	flags         []string // of pinfs mount
	fake, verbose bool
}

// parse reads the arguments. known are the flags that options may name.
func (h *helper) parse(args []string, known []cli.Flag) error {
	for i := 0; i < len(args); i++ {
		if len(args[i]) < 2 || args[i][0] != '-' {
			h.places = append(h.places, args[i])
			continue
		}
		letters := args[i][1:]
		h.fake = h.fake || strings.Contains(letters, "f")
		h.verbose = h.verbose || strings.Contains(letters, "v")
		last := letters[len(letters)-1]
		if strings.Trim(letters[:len(letters)-1], "sfnv") != "" || !strings.ContainsRune("sfnvotN", rune(last)) {
			return usage(helperName, args[i], "no such flag", "mount -t pinfs SOURCE DIR -o OPTIONS")
		}
		if !strings.ContainsRune("otN", rune(last)) {
			continue
		}
		if i++; i == len(args) {
			return usage(helperName, args[i-1], "the flag needs a value", "")
		}
		if last == 'o' {
			if err := h.options(args[i], known); err != nil {
				return err
			}
		}
	}
	if len(h.places) != 2 {
		return usage(helperName, strings.Join(h.places, " "), "not a source and a directory", "mount -t pinfs SOURCE DIR; SOURCE is P/A:v3, P or none")
	}
	return nil
}

// options makes flags of a list "a,b=c".
func (h *helper) options(list string, known []cli.Flag) error {
	for _, option := range strings.Split(list, ",") {
		name, _, joined := strings.Cut(option, "=")
		if anyFileSystems(name) {
			continue
		}
		name = strings.ReplaceAll(name, "_", "-")
		f := findFlag(known, name)
		switch {
		case f == nil || len(name) < 2 || slices.Contains([]string{"foreground", "help", flagJSON}, name):
			hint := didYouMean(name, "", flagNames(known)) + "see pinfs mount --help"
			return usage(helperName, name, "no such option", hint)
		case takesValue(f) && !joined:
			return usage(helperName, name, "the option needs a value", name+"=...")
		}
		h.flags = append(h.flags, "--"+name+option[len(name):])
	}
	return nil
}

// anyFileSystems are options that mount(8) and systemd take, and pass on.
func anyFileSystems(name string) bool {
	return name == "" || strings.HasPrefix(strings.ToLower(name), "x-") || slices.Contains([]string{
		"defaults", "ro", "rw", "auto", "noauto", "nofail", "_netdev", "comment", "user", "nouser", "users", "owner", "group",
		"suid", "nosuid", "dev", "nodev", "exec", "noexec", "sync", "async", "dirsync", "silent", "loud",
		"atime", "noatime", "relatime", "norelatime", "strictatime", "nostrictatime", "diratime", "nodiratime", "lazytime", "nolazytime",
	}, name)
}

// command is the command that does it.
func (h *helper) command() []string {
	args := append([]string{"pinfs", "mount"}, h.flags...)
	args = append(args, "--")
	if h.places[0] != "none" {
		args = append(args, h.places[0])
	}
	return append(args, h.places[1])
}
