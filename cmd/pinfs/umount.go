package main

import (
	"errors"
	"io/fs"
	"os"

	"github.com/urfave/cli/v2"

	"github.com/pinfs/pinfs/daemon"
	"github.com/pinfs/pinfs/fusefs"
	"github.com/pinfs/pinfs/manifest"
)

func (a *app) umountCommand() *cli.Command {
	return &cli.Command{
		Name:      "umount",
		Aliases:   []string{"unmount"},
		Usage:     "ends a mount",
		ArgsUsage: "DIR",
		Description: `Returns when the mount is gone; after a daemon's last mount, when the daemon is
too. A mount that is in use is left alone, unless --lazy takes it out of sight: it
ends with its last user.

Example: pinfs umount /mnt/mnist`,
		Flags:  []cli.Flag{&cli.BoolFlag{Name: "lazy", Aliases: []string{"l"}, Usage: "take a busy mount out of sight"}},
		Action: a.umount,
	}
}

// umount asks the daemon of this cache directory; a mount of another daemon, or
// of a dead one, it ends by itself.
func (a *app) umount(c *cli.Context) error {
	args, err := positional(c, 1, 1)
	if err != nil {
		return err
	}
	dir, err := daemon.MountPoint(args[0])
	if err != nil {
		return err
	}
	cache, err := cacheDir(c)
	if err != nil {
		return err
	}
	err = daemon.NewClient(cache).Unmount(c.Context, dir, c.Bool("lazy"))
	if errors.Is(err, daemon.ErrNoDaemon) || manifest.KindOf(err) == manifest.KindNotFound {
		if _, missing := os.Lstat(dir); errors.Is(missing, fs.ErrNotExist) {
			return usage("umount", args[0], "no such directory", "pinfs status lists the mounts")
		}
		err = fusefs.Unmount(c.Context, dir, c.Bool("lazy"))
	}
	return err
}
