package daemon

import (
	"context"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/pinfs/pinfs/manifest"
)

// UpgradeRequest asks a daemon to make way for another program, which goes on with its
// mounts.
type UpgradeRequest struct {
	// Program is the file of the program, absolute. It is started with this daemon's
	// arguments and environment.
	Program string `json:"program"`
}

// UpgradeReply is the answer to an UpgradeRequest.
type UpgradeReply struct {
	PID int `json:"pid"` // of the daemon that goes
}

// Programs is a Store whose next process can be another program.
type Programs interface{ Program(path string) error }

// Upgrade ends Run; Again tells then that the mounts are to be left to the next process.
// KindUnsupported: nothing keeps them.
func (d *Daemon) Upgrade(req UpgradeRequest) error {
	if d.o.Store == nil {
		return &manifest.Error{Kind: manifest.KindUnsupported, Op: "upgrade", Msg: "nothing keeps the mounts of this daemon while it is replaced",
			Hint: "unmount and mount again; a daemon in the background or under systemd can be upgraded"}
	}
	if !filepath.IsAbs(req.Program) {
		return &manifest.Error{Kind: manifest.KindInvalid, Op: "upgrade", Ref: req.Program, Msg: "the program is not an absolute path"}
	}
	if p, ok := d.o.Store.(Programs); ok {
		if err := p.Program(req.Program); err != nil {
			return err
		}
	}
	d.log.Info("makes way for another program", "program", req.Program)
	d.mu.Lock()
	defer d.mu.Unlock()
	d.again = true
	return nil
}

// Again is true when Run has returned for another process to go on with the mounts.
// This one then ends without Close: the kernel asks the next one again what is not
// answered, and the cache needs no farewell.
func (d *Daemon) Again() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.again
}

// Upgrade has the daemon replaced by program, and returns when that one answers. The
// mounts live on; who reads waits for a moment.
func (c *Client) Upgrade(ctx context.Context, program string) (Status, error) {
	var was UpgradeReply
	if err := c.do(ctx, answerWait, http.MethodPost, "/v1/upgrade", UpgradeRequest{Program: program}, &was); err != nil {
		return Status{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, startWait)
	defer cancel()
	for {
		s, err := c.Status(ctx)
		switch {
		case err == nil && s.Daemon != nil && s.Daemon.PID != was.PID:
			return s, nil
		case err != nil && !errors.Is(err, ErrNoDaemon):
			return Status{}, err
		}
		select {
		case <-time.After(upgradeLook):
		case <-ctx.Done():
			return Status{}, &manifest.Error{Kind: manifest.KindTimeout, Op: "upgrade", Ref: program, Msg: "no daemon answers", Hint: "see " + logPath(c.dir)}
		}
	}
}

// upgradeLook is how often a client looks for the next daemon.
const upgradeLook = 20 * time.Millisecond

func (d *Daemon) upgradeFor(req UpgradeRequest) (UpgradeReply, error) {
	return UpgradeReply{PID: os.Getpid()}, d.Upgrade(req)
}
