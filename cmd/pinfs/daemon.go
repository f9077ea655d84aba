package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"

	"github.com/urfave/cli/v2"
	"github.com/urfave/cli/v2/altsrc"
	"golang.org/x/sys/unix"

	"github.com/pinfs/pinfs/backends"
	"github.com/pinfs/pinfs/backends/blobstore"
	"github.com/pinfs/pinfs/cache"
	"github.com/pinfs/pinfs/daemon"
	"github.com/pinfs/pinfs/daemon/fdstore"
	"github.com/pinfs/pinfs/daemon/owner"
	"github.com/pinfs/pinfs/fusefs/lister"
)

// daemonName is the hidden command that `pinfs mount` starts in the background.
const daemonName = "daemon"

func (a *app) daemonCommand() *cli.Command {
	return &cli.Command{
		Name:   daemonName,
		Hidden: true,
		Usage:  "serves the mounts of a cache directory; pinfs mount starts it",
		Action: a.daemon,
	}
}

// listAheadName is the hidden command that the daemon starts for lister.
const listAheadName = "list-ahead"

func (a *app) listAheadCommand() *cli.Command {
	return &cli.Command{
		Name:   listAheadName,
		Hidden: true,
		Usage:  "lists directories of mounts before their readers do; the daemon starts it",
		Action: func(*cli.Context) error { return lister.Serve(os.Stdin, os.Stdout) },
	}
}

// daemon serves until it has nothing more to do. Its store has what a daemon before it
// left behind, if that did not end in peace.
func (a *app) daemon(c *cli.Context) error {
	store, kept, err := fdstore.Open()
	if err != nil {
		return err
	}
	ready, err := readyPipe()
	if err != nil {
		return err
	}
	if ready == nil && store == nil {
		return usage(daemonName, "", "nobody waits for it to get ready", "pinfs mount starts it; --foreground keeps it here")
	}
	if ends, ok := os.LookupEnv(owner.GiveUpEnv); ok {
		return a.refuse(c, store, kept, ends)
	}
	d, err := a.background(c, store, kept)
	if told := tellReady(ready, store, err); err != nil || told != nil {
		if d != nil {
			err = joinClose(told, closeDaemon(d)) // nobody waits any more
		}
		return err
	}
	serveUntil(c.Context, d, store)
	if d.Again() {
		return errAgain
	}
	return joinClose(store.Stopping(), closeDaemon(d))
}

// serveUntil serves until d has nothing more to do, and says now and then that it does.
func serveUntil(ctx context.Context, d *daemon.Daemon, store *fdstore.Store) {
	ctx, end := context.WithCancel(ctx)
	defer end()
	go store.Watchdog(ctx, func() bool { return d.Status().Daemon != nil }) // which takes each lock
	d.Run(ctx)
}

// newKeeping makes a daemon whose mounts outlive it if store is not nil.
func newKeeping(o daemon.Options, store *fdstore.Store, kept map[string][]*os.File) (*daemon.Daemon, error) {
	if store != nil {
		o.Store, o.Kept = store, kept
	}
	return daemon.New(o)
}

// refuse serves mounts with errors, since daemons can't be started.
func (a *app) refuse(c *cli.Context, store *fdstore.Store, kept map[string][]*os.File, ends string) error {
	why := fmt.Errorf("%s daemons ended before they were ready", ends)
	again, err := daemon.Refuse(c.Context, store, kept, why, func() error { return store.Ready("refusing") }, a.log)
	if again && err == nil {
		return errAgain
	}
	return err
}

// readyPipe is where the process that started this one waits; nil: it does not.
func readyPipe() (*os.File, error) {
	fd := daemon.ReadyFD
	if text, ok := os.LookupEnv(owner.ReadyEnv); ok {
		var err error
		if fd, err = strconv.Atoi(text); err != nil {
			return nil, fmt.Errorf("%s: %w", owner.ReadyEnv, err)
		}
		os.Unsetenv(owner.ReadyEnv)
	}
	var pipe unix.Stat_t
	if err := unix.Fstat(fd, &pipe); err != nil || pipe.Mode&unix.S_IFMT != unix.S_IFIFO {
		return nil, nil
	}
	unix.CloseOnExec(fd)
	return os.NewFile(uintptr(fd), "ready"), nil
}

// tellReady tells how the start went to who waits for it.
func tellReady(ready *os.File, store *fdstore.Store, err error) error {
	var told error
	if ready != nil {
		told = daemon.Ready(ready, err)
	}
	if err == nil {
		told = errors.Join(told, store.Ready("serving"))
	}
	return told
}

// background makes the daemon, with the log file as its output.
func (a *app) background(c *cli.Context, store *fdstore.Store, kept map[string][]*os.File) (*daemon.Daemon, error) {
	dir, err := cacheDir(c)
	if err != nil {
		return nil, err
	}
	log, err := daemon.OpenLog(dir)
	if err != nil {
		return nil, fmt.Errorf("open log: %w", err)
	}
	a.stderr = log
	o, err := a.daemonOptions(c)
	if err != nil {
		return nil, err
	}
	return newKeeping(o, store, kept)
}

// daemonOptions are what the flags say.
func (a *app) daemonOptions(c *cli.Context) (daemon.Options, error) {
	o, err := cacheOptions(c)
	if err != nil {
		return daemon.Options{}, err
	}
	if a.log, err = newLogger(a.stderr, c.String(flagLogLevel), c.String(flagLogFormat), slog.LevelInfo); err != nil {
		return daemon.Options{}, err
	}
	slog.SetDefault(a.log) // of libraries
	a.ballast = limitHeap(memoryLimit(), o.MemoryBytes, a.log)
	copies, outages := &blobstore.Finders{}, &daemon.Outages{}
	b := a.drivers(c, backends.RetryPolicy{OnRetry: outages.Retried}, copies)
	return daemon.Options{Cache: o, Backend: b, Copies: copies, Outages: outages, Settings: settings(c),
		OpenRegistry: openRegistry, Version: buildName(), Logger: a.log, Redact: scrub,
		Offline: c.Bool(flagOffline), ListAhead: []string{"pinfs", listAheadName}}, nil
}

// closeDaemon ends d: in peace, or at once after a second signal. The first one
// has ended Run, and with it main's own interest in signals.
func closeDaemon(d *daemon.Daemon) error {
	ctx, stop := signal.NotifyContext(context.Background(), endSignals()...)
	defer stop()
	return d.Close(ctx)
}

func joinClose(err, closing error) error {
	if err == nil {
		return closing
	}
	return err
}

// cacheDir is the cache directory to use, absolute.
func cacheDir(c *cli.Context) (string, error) {
	dir := c.String(flagCacheDir)
	if dir == "" {
		dir = defaultCacheDir()
	}
	abs, err := filepath.Abs(dir)
	if err != nil {
		return "", usage("cache directory", dir, err.Error(), "give an absolute path")
	}
	return abs, nil
}

func cacheOptions(c *cli.Context) (cache.Options, error) {
	dir, err := cacheDir(c)
	if err != nil {
		return cache.Options{}, err
	}
	o := cache.Options{Dir: dir, Size: roomFor(dir), MemoryBytes: buffersFor(memoryLimit())}
	for flag, field := range map[string]*int64{flagCacheSize: &o.Size, flagMinFree: &o.MinFree} {
		if text := c.String(flag); text != "" {
			if *field, err = parseSize(flag, text); err != nil {
				return o, err
			}
		}
	}
	return o, nil
}

// daemonFlags are the global flags that make a daemon in the background like
// this process would be. None is secret: credentials are in the environment, and
// so are the flags that hold some (see exportSecrets).
func daemonFlags(c *cli.Context, dir string) []string {
	argv := []string{"--" + flagCacheDir + "=" + dir}
	for _, name := range []string{flagCacheSize, flagMinFree, flagLogLevel, flagLogFormat} {
		if c.IsSet(name) {
			argv = append(argv, "--"+name+"="+c.String(name))
		}
	}
	if c.IsSet(flagOffline) {
		argv = append(argv, "--"+flagOffline+"="+strconv.FormatBool(c.Bool(flagOffline)))
	}
	argv = append(argv, allowFlags(c)...)
	for _, f := range sourceFlags() {
		name := f.Names()[0]
		if !c.IsSet(name) {
			continue
		}
		switch f.(type) {
		case *altsrc.StringFlag:
			argv = append(argv, "--"+name+"="+c.String(name))
		case *altsrc.BoolFlag:
			argv = append(argv, "--"+name+"="+strconv.FormatBool(c.Bool(name)))
		}
	}
	return argv
}
