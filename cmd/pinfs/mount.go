package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/pinfs/pinfs/daemon"
	"github.com/pinfs/pinfs/daemon/fdstore"
	"github.com/pinfs/pinfs/fusefs"
	"github.com/pinfs/pinfs/manifest"
	"github.com/pinfs/pinfs/registry"
)

func (a *app) mountCommand() *cli.Command {
	return &cli.Command{
		Name:      "mount",
		Usage:     "shows versions as a read-only directory",
		ArgsUsage: "[REF | P] DIR",
		Description: `Returns when the mount answers; a daemon in the background serves all mounts that
share a cache directory and ends after the last. DIR is an empty directory.

  pinfs mount DIR           all projects: PROJECT/ARTIFACT:vN/...
  pinfs mount P DIR         one project: ARTIFACT:vN/..., aliases as symlinks
  pinfs mount P/A:v3 DIR    the files of one version

A single word is a project if there is one of that name, else the latest version
of that artifact of --project.

Example: pinfs mount vision/mnist:v3 /mnt/mnist

References that were recorded with --no-checksum are listed when their version is
first looked at; the mount shows what it found then for as long as it lives.

With --fill the version is brought to the cache behind the readers, as far as it
fits; pinfs status tells how far it is.

--open=passthrough without a kernel or the rights for it mounts all the same,
stateless, and says so on standard error.

JSON: mountpoint, pid, ref, open, open_reason.

With --foreground this process is the daemon; SIGINT and SIGTERM unmount all and
end it with code 0. Mounts that are busy for five seconds are taken out of sight;
a second signal does so at once.`,
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "foreground", Aliases: []string{"f"}, Usage: "serve in this process, log to standard error"},
			&cli.BoolFlag{Name: "allow-other", Usage: "let other users in (default for root)"},
			&cli.UintFlag{Name: "uid", Usage: "`UID` that owns all files", DefaultText: "who mounts"},
			&cli.UintFlag{Name: "gid", Usage: "`GID` that owns all files", DefaultText: "who mounts"},
			&cli.BoolFlag{Name: "fill", Usage: "bring the whole version to the cache in the background"},
			openFlag(),
			maxFoundFlag(),
		},
		Action: a.mount,
	}
}

func (a *app) mount(c *cli.Context) error {
	args, err := positional(c, 1, 2)
	if err != nil {
		return err
	}
	req, err := a.mountRequest(c, args)
	if err != nil {
		return err
	}
	if c.Bool("foreground") {
		return a.mountHere(c, req)
	}
	dir, err := cacheDir(c)
	if err != nil {
		return err
	}
	client := daemon.NewClient(dir)
	answer, err := client.MountOrStart(c.Context, req, a.starter(c, dir))
	if err != nil {
		return err
	}
	a.compareSize(c, client)
	return a.printMounted(c, answer)
}

// compareSize says when a daemon that ran before has another size of the cache
// than was asked for.
func (a *app) compareSize(c *cli.Context, client *daemon.Client) {
	if !c.IsSet(flagCacheSize) {
		return
	}
	want, err := parseSize(flagCacheSize, c.String(flagCacheSize))
	if err != nil {
		return // the daemon has told
	}
	if s, err := client.Status(c.Context); err == nil && s.Cache.Limit != want {
		a.log.Warn("the cache of the running daemon keeps its size", "limit", size(s.Cache.Limit), "asked", size(want))
	}
}

func (a *app) printMounted(c *cli.Context, m daemon.MountReply) error {
	if c.String(flagOpen) == string(fusefs.OpenPassthrough) && m.Open != c.String(flagOpen) {
		a.log.Warn("the mount works without passthrough, files are opened "+m.Open, "dir", m.MountPoint, "reason", m.OpenReason)
	}
	if c.Bool(flagJSON) {
		return a.printJSON(m)
	}
	shown := m.Ref
	if shown == "" {
		shown = "all projects"
	}
	_, err := fmt.Fprintf(a.stdout, "%s is mounted on %s (pid %d)\n", shown, oneLine(m.MountPoint), m.PID)
	return err
}

// mountRequest makes the request of the arguments [REF | P] DIR. It asks the
// registry, so that a wrong name starts no daemon.
func (a *app) mountRequest(c *cli.Context, args []string) (daemon.MountRequest, error) {
	var req daemon.MountRequest
	err := lacksDir(args)
	if err != nil {
		return req, err
	}
	if req.Dir, err = daemon.MountPoint(args[len(args)-1]); err != nil {
		return req, err
	}
	if req.Registry, err = registryURL(c); err != nil {
		return req, err
	}
	req.Settings = settings(c)
	if req.Verify, err = verifyMode(c.String(flagVerify)); err != nil {
		return req, err
	}
	if req.Open, err = openMode(c.String(flagOpen)); err != nil {
		return req, err
	}
	if c.IsSet("allow-other") {
		allow := c.Bool("allow-other")
		req.AllowOther = &allow
	}
	if req.MaxObjects, err = maxFound(c); err != nil {
		return req, err
	}
	if req.UID, err = ownerID(c, "uid"); err != nil {
		return req, err
	}
	if req.GID, err = ownerID(c, "gid"); err != nil {
		return req, err
	}
	if len(args) == 2 {
		req.Project, req.Ref, err = a.selection(c, args[0])
	}
	if req.Fill = c.Bool("fill"); err == nil && req.Fill && req.Ref == "" {
		err = usage("mount", "--fill", "only a mount of one version can be filled", "pinfs mount --fill P/A:v3 DIR")
	}
	return req, err
}

// lacksDir is the error for a version alone, unless it is a directory's name.
func lacksDir(args []string) error {
	if len(args) != 1 || !strings.Contains(args[0], ":") {
		return nil
	}
	if _, err := manifest.ParseName(args[0]); err != nil {
		return nil
	}
	if _, err := os.Stat(args[0]); !errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return usage("mount", args[0], "the mount point is missing", "pinfs mount "+args[0]+" DIR")
}

func verifyMode(text string) (string, error) {
	switch text {
	case "":
		return daemon.VerifyFill, nil
	case daemon.VerifyFill, daemon.VerifyStrict:
		return text, nil
	}
	return "", usage("mount", "--"+flagVerify, "no such way to verify: "+text, "fill or strict")
}

const flagOpen = "open"

func openFlag() cli.Flag {
	return &cli.StringFlag{Name: flagOpen, EnvVars: []string{envName(flagOpen)}, DefaultText: string(fusefs.OpenStateless),
		Usage: "how files are opened: `MODE` stateless; passthrough, complete files are read by the kernel itself; auto, by what the version holds"}
}

func openMode(text string) (string, error) {
	if text == "" || slices.Contains(daemon.OpenModes(), text) {
		return text, nil
	}
	return "", usage("mount", "--"+flagOpen, "no such way to open files: "+text, strings.Join(daemon.OpenModes(), ", "))
}

// ownerID reads a user or group id; nil when it is not given.
func ownerID(c *cli.Context, flag string) (*uint32, error) {
	if !c.IsSet(flag) {
		return nil, nil
	}
	id := uint32(c.Uint(flag))
	if uint(id) != c.Uint(flag) || id == ^uint32(0) {
		return nil, usage("mount", "--"+flag, "no such id", "")
	}
	return &id, nil
}

// selection says what REF or P means: a project, or a version of an artifact.
func (a *app) selection(c *cli.Context, text string) (project, ref string, err error) {
	n, err := parseName(c, text)
	if err != nil {
		return "", "", err
	}
	r, err := a.registry(c)
	if err != nil {
		return "", "", err
	}
	defer r.Close()
	if isWord(text) {
		whole, err := isProject(c, r, "mount", text)
		if err != nil {
			return "", "", err
		}
		if whole {
			return text, "", nil
		}
	}
	return n.Project, manifest.Name{Artifact: n.Artifact, Version: n.Version}.String(), exists(c, r, n)
}

func exists(c *cli.Context, r *registry.Registry, n manifest.Name) error {
	_, err := r.Resolve(c.Context, n)
	return err
}

// mountHere makes this process the daemon.
func (a *app) mountHere(c *cli.Context, req daemon.MountRequest) error {
	store, kept, err := fdstore.Open()
	if err != nil {
		return err
	}
	o, err := a.daemonOptions(c)
	if err != nil {
		return err
	}
	d, err := newKeeping(o, store, kept)
	if err != nil {
		return err
	}
	if err = a.mountUnlessKept(c, d, req); err == nil {
		err = store.Ready("serving")
	}
	if err == nil {
		a.log.Info("serving", "pid", os.Getpid())
		serveUntil(c.Context, d, store)
	}
	if d.Again() {
		return errAgain
	}
	return joinClose(err, closeDaemon(d))
}

// mountUnlessKept makes the mount, unless a process before has made it and d goes on
// with it.
func (a *app) mountUnlessKept(c *cli.Context, d *daemon.Daemon, req daemon.MountRequest) error {
	for _, m := range d.Status().Mounts {
		if m.Dir == req.Dir && !m.Detached {
			a.log.Info("goes on with a mount", "dir", m.Dir, "ref", m.Ref)
			return nil
		}
	}
	answer, err := d.Mount(c.Context, req)
	if err != nil {
		return err
	}
	return a.printMounted(c, answer)
}
