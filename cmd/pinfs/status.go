package main

import (
	"errors"
	"fmt"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/pinfs/pinfs/daemon"
	"github.com/pinfs/pinfs/manifest"
)

func (a *app) statusCommand() *cli.Command {
	return &cli.Command{
		Name:      "status",
		Usage:     "tells what the daemon of the cache directory does",
		ArgsUsage: "[DIR]",
		Description: `Daemon, mounts, cache, sources, and the last error of each object that could not
be read. With DIR only the mount there.

Example: pinfs status /mnt/mnist

JSON: daemon {pid, version, uptime, started} (null when none runs), mounts [{dir,
ref, open, open_reason, verify, registry, since, detached, requests, reads, fill
{state, files, total_files, bytes, total_bytes, failed, left_out, last_error} (null
without --fill), unpinned [{path, ref, since, dir, objects, left_out, error}],
unpinned_count}], cache {dir, used, limit, objects, hits, misses, busy}, backends
[{scheme, requests, errors, bytes, limit, in_flight, waiting, throttled, retries,
hedged, hedge_won}], errors [{path, ref, errno, message, time}], newest first.`,
		Action: a.status,
	}
}

func (a *app) status(c *cli.Context) error {
	args, err := positional(c, 0, 1)
	if err != nil {
		return err
	}
	dir, err := cacheDir(c)
	if err != nil {
		return err
	}
	s, err := daemon.NewClient(dir).Status(c.Context)
	if errors.Is(err, daemon.ErrNoDaemon) {
		s, err = daemon.Status{Cache: daemon.CacheStatus{Dir: dir}}, nil
	}
	if err == nil && len(args) == 1 {
		err = onlyAt(&s, args[0])
	}
	if err != nil {
		return err
	}
	s.Mounts, s.Backends, s.Errors = noNull(s.Mounts), noNull(s.Backends), noNull(s.Errors)
	for i := range s.Mounts {
		s.Mounts[i].Unpinned = noNull(s.Mounts[i].Unpinned)
	}
	if c.Bool(flagJSON) {
		return a.printJSON(s)
	}
	return a.printStatus(s)
}

// onlyAt keeps the mount at dir alone, and its errors.
func onlyAt(s *daemon.Status, dir string) error {
	point, err := daemon.MountPoint(dir)
	if err != nil {
		return err
	}
	mounts, faults := s.Mounts, s.Errors
	s.Mounts, s.Errors = nil, nil
	for _, m := range mounts {
		if m.Dir == point {
			s.Mounts = append(s.Mounts, m)
		}
	}
	for _, f := range faults {
		if f.Path == point || len(f.Path) > len(point) && f.Path[:len(point)+1] == point+"/" {
			s.Errors = append(s.Errors, f)
		}
	}
	if s.Daemon == nil {
		return &manifest.Error{Kind: manifest.KindNotFound, Op: "status", Ref: dir, Msg: "no daemon runs for " + s.Cache.Dir,
			Hint: "pinfs mount starts one, and takes over what a dead one left"}
	}
	if len(s.Mounts) == 0 {
		return &manifest.Error{Kind: manifest.KindNotFound, Op: "status", Ref: dir, Msg: "the daemon of " + s.Cache.Dir + " has no mount there",
			Hint: "pinfs status lists its mounts"}
	}
	return nil
}

func (a *app) printStatus(s daemon.Status) error {
	if s.Daemon == nil {
		return a.fields("daemon", "none runs; pinfs mount starts one", "cache", s.Cache.Dir)
	}
	k := s.Cache
	err := a.fields(
		"daemon", fmt.Sprintf("pid %d, version %s, up %s", s.Daemon.PID, s.Daemon.Version, time.Duration(s.Daemon.Uptime*float64(time.Second)).Round(time.Second)),
		"cache", fmt.Sprintf("%s: %s of %s, %s, %d hits, %d misses", k.Dir, size(k.Used), size(k.Limit), count(k.Objects, "object"), k.Hits, k.Misses))
	if err != nil {
		return err
	}
	if err := errors.Join(a.printMounts(s.Mounts), a.printFills(s.Mounts), a.printUnpinned(s.Mounts), a.printSources(s.Backends)); err != nil {
		return err
	}
	if len(s.Errors) > 0 {
		fmt.Fprintln(a.stdout, "\nerrors, the newest first:")
	}
	for _, f := range s.Errors {
		fmt.Fprintf(a.stdout, "%s  %s  %s: %s\n", when(f.Time), f.Errno, oneLine(f.Path), oneLine(f.Message))
	}
	return nil
}

func (a *app) printMounts(mounts []daemon.MountStatus) error {
	fmt.Fprintln(a.stdout)
	t := a.table("MOUNT", "REF", "OPEN", "VERIFY", "SINCE")
	for _, m := range mounts {
		dir := m.Dir
		if m.Detached {
			dir += " (out of sight)"
		}
		t.row(dir, first(m.Ref, "all projects"), m.Open, m.Verify, when(m.Since))
	}
	err := t.end()
	for _, m := range mounts {
		if m.OpenReason != "" {
			fmt.Fprintf(a.stdout, "%s: %s; %s\n", m.Dir, m.Open, oneLine(m.OpenReason))
		}
	}
	return err
}

// printFills tells how far the mounts with --fill are.
func (a *app) printFills(mounts []daemon.MountStatus) error {
	t := a.table("FILL", "STATE", "FILES", "BYTES", "FAILED", "NO ROOM", "LAST FAILURE")
	some := false
	for _, m := range mounts {
		if f := m.Fill; f != nil {
			t.row(m.Dir, f.State, fmt.Sprintf("%d of %d", f.Files, f.TotalFiles), size(f.Bytes)+" of "+size(f.TotalBytes),
				fmt.Sprint(f.Failed), fmt.Sprint(f.LeftOut), f.LastError)
			some = true
		}
	}
	if !some {
		return nil
	}
	fmt.Fprintln(a.stdout)
	return t.end()
}

// printUnpinned tells what mounts show that no version pins.
func (a *app) printUnpinned(mounts []daemon.MountStatus) error {
	t := a.table("UNPINNED", "REFERENCE", "FOUND", "SINCE")
	some := false
	for _, m := range mounts {
		for _, u := range m.Unpinned {
			found := count(u.Objects, "object")
			if u.LeftOut > 0 {
				found += ", " + fmt.Sprint(u.LeftOut) + " left out"
			}
			t.row(u.Path, u.Ref, first(u.Error, found), when(u.Since))
			some = true
		}
		if more := m.UnpinnedCount - len(m.Unpinned); more > 0 {
			t.row("and "+fmt.Sprint(more)+" more", "", "", "")
		}
	}
	if !some {
		return nil
	}
	fmt.Fprintln(a.stdout)
	return t.end()
}

func (a *app) printSources(sources []daemon.BackendStatus) error {
	if len(sources) == 0 {
		return nil
	}
	fmt.Fprintln(a.stdout)
	t := a.table("SOURCE", "REQUESTS", "FAILED", "RECEIVED", "AT ONCE", "THROTTLED", "LAST FAILURE")
	for _, b := range sources {
		t.row(b.Scheme+"://", fmt.Sprint(b.Requests), fmt.Sprint(b.Errors), size(b.Bytes), atOnce(b), fmt.Sprint(b.Throttled), b.LastError)
	}
	return t.end()
}

// atOnce tells how many requests are under way, of how many that may be.
func atOnce(b daemon.BackendStatus) string {
	if b.Limit == 0 {
		return fmt.Sprint(b.InFlight)
	}
	return fmt.Sprintf("%d of %d", b.InFlight, b.Limit)
}
