package main

import (
	"errors"
	"fmt"
	"os"

	"github.com/urfave/cli/v2"

	"github.com/pinfs/pinfs/daemon"
	"github.com/pinfs/pinfs/manifest"
)

func (a *app) upgradeCommand() *cli.Command {
	return &cli.Command{
		Name:  "upgrade",
		Usage: "has this program serve the mounts that another build of it serves",
		Description: `The daemon of the cache directory ends, and this program goes on with its mounts:
nothing is unmounted, files stay open, and who reads waits for a moment. The daemon keeps
the flags and the environment that it was started with.

Example: install pinfs over the old one, then: pinfs upgrade`,
		Action: a.upgrade,
	}
}

func (a *app) upgrade(c *cli.Context) error {
	if _, err := positional(c, 0, 0); err != nil {
		return err
	}
	dir, err := cacheDir(c)
	if err != nil {
		return err
	}
	program, err := os.Executable()
	if err != nil {
		return fmt.Errorf("upgrade: %w", err)
	}
	s, err := daemon.NewClient(dir).Upgrade(c.Context, program)
	if errors.Is(err, daemon.ErrNoDaemon) {
		return &manifest.Error{Kind: manifest.KindNotFound, Op: "upgrade", Ref: dir, Msg: "no daemon runs for this cache directory",
			Hint: "the next pinfs mount starts this program"}
	}
	if err != nil {
		return err
	}
	if c.Bool(flagJSON) {
		return a.printJSON(s)
	}
	_, err = fmt.Fprintf(a.stdout, "version %s serves %s (pid %d)\n", s.Daemon.Version, count(int64(len(s.Mounts)), "mount"), s.Daemon.PID)
	return err
}
