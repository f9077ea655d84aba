package main

import (
	"errors"
	"os"
	"slices"

	"github.com/urfave/cli/v2"

	"github.com/pinfs/pinfs/daemon/owner"
)

// ownName is the hidden command that `pinfs mount` starts in the background.
const ownName = "own"

func (a *app) ownCommand() *cli.Command {
	return &cli.Command{
		Name:   ownName,
		Hidden: true,
		Usage:  "holds the mounts of a cache directory for its daemon, which it starts; pinfs mount starts it",
		Action: a.own,
	}
}

// errAgain is the end of a daemon in whose place another one is to be started.
var errAgain = errors.New("another daemon goes on")

// own starts the daemon as this process was started itself.
func (a *app) own(c *cli.Context) error {
	ready, err := readyPipe()
	if err != nil {
		return err
	}
	if ready == nil {
		return usage(ownName, "", "nobody waits for it to get ready", "pinfs mount starts it")
	}
	program, err := os.Executable()
	if err != nil {
		return err
	}
	dir, err := cacheDir(c)
	if err != nil {
		return err
	}
	args := slices.Concat([]string{"pinfs"}, daemonFlags(c, dir), []string{daemonName})
	return owner.Run(c.Context, owner.Options{Program: program, Args: args, Ready: ready, Logger: a.log, Dir: "/", Stdout: os.Stderr, Stderr: os.Stderr})
}
