package daemon

import (
	"context"
	"encoding/json"
	"net/http"
	"os"
	"time"

	"github.com/pinfs/pinfs/manifest"
)

// handler answers the control socket.
func (d *Daemon) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /v1/mounts", func(w http.ResponseWriter, r *http.Request) {
		var req MountRequest
		if decode(w, r, &req) {
			answer, err := d.mountFor(r.Context(), req)
			reply(w, answer, err)
		}
	})
	mux.HandleFunc("DELETE /v1/mounts", func(w http.ResponseWriter, r *http.Request) {
		var req UnmountRequest
		if decode(w, r, &req) {
			answer, err := d.unmountFor(r.Context(), req)
			reply(w, answer, err)
		}
	})
	mux.HandleFunc("POST /v1/check", func(w http.ResponseWriter, r *http.Request) {
		var req CheckRequest
		if decode(w, r, &req) {
			d.checkFor(w, r, req)
		}
	})
	mux.HandleFunc("POST /v1/warm", func(w http.ResponseWriter, r *http.Request) {
		var req WarmRequest
		if decode(w, r, &req) {
			d.warmFor(w, r, req)
		}
	})
	mux.HandleFunc("GET /v1/status", func(w http.ResponseWriter, _ *http.Request) {
		reply(w, d.Status(), nil)
	})
	mux.HandleFunc("POST /v1/upgrade", func(w http.ResponseWriter, r *http.Request) {
		var req UpgradeRequest
		if !decode(w, r, &req) {
			return
		}
		answer, err := d.upgradeFor(req)
		reply(w, answer, err)
		if err == nil {
			_ = http.NewResponseController(w).Flush() // this process does not wait for the answer to leave
			d.Stop()
		}
	})
	mux.HandleFunc("POST /v1/shutdown", func(w http.ResponseWriter, _ *http.Request) {
		d.Stop()
		reply(w, struct{}{}, nil)
	})
	return mux
}

// mountFor mounts for a client; one that left meanwhile does not want it.
func (d *Daemon) mountFor(ctx context.Context, req MountRequest) (MountReply, error) {
	answer, err := d.Mount(ctx, req)
	if err == nil && ctx.Err() != nil {
		_ = d.Unmount(req.Dir, true)
		return MountReply{}, ctx.Err()
	}
	return answer, err
}

// unmountFor unmounts or cancels for a client.
func (d *Daemon) unmountFor(ctx context.Context, req UnmountRequest) (UnmountReply, error) {
	var err error
	if req.Cancel != "" {
		d.Cancel(ctx, req.Dir, req.Cancel)
	} else {
		err = d.Unmount(req.Dir, req.Lazy)
	}
	return UnmountReply{PID: os.Getpid(), Last: !d.inUse()}, err
}

// decode reads a request; it answers those that it can't read.
func decode(w http.ResponseWriter, r *http.Request, v any) bool {
	err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxMessage)).Decode(v)
	if err != nil {
		reply(w, nil, &manifest.Error{Kind: manifest.KindInvalid, Op: "read request", Err: err})
	}
	return err == nil
}

// serve starts to answer; the server ends with Close.
func (d *Daemon) serve(l *guarded) {
	d.server = &http.Server{Handler: d.handler(), ReadHeaderTimeout: 10 * time.Second, ReadTimeout: 30 * time.Second,
		IdleTimeout: 10 * time.Second, MaxHeaderBytes: 64 << 10}
	d.tasks.Go(func() {
		if err := d.server.Serve(l); err != http.ErrServerClosed {
			d.log.Error("control socket ended", "error", err)
		}
	})
}
