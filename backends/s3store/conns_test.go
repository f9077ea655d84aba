package s3store_test

import (
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/pinfs/pinfs/backends/backendtest"
	"github.com/pinfs/pinfs/backends/s3store"
)

// TestConnectionsAreKept: 64 at a time, with pauses in which all are idle, a
// thousand GETs take no more connections than there are requests at once.
func TestConnectionsAreKept(t *testing.T) {
	const atOnce, rounds = 64, 16
	setkeys(t)
	var conns atomic.Int64
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("ETag", `"e"`)
		_, _ = io.WriteString(w, strings.Repeat("x", 8<<10))
	}))
	srv.Config.ConnState = func(_ net.Conn, s http.ConnState) {
		if s == http.StateNew {
			conns.Add(1)
		}
	}
	srv.Start()
	defer srv.Close()
	s := open(t, s3store.Options{Endpoint: srv.URL, MaxConns: atOnce})
	for range rounds {
		g := errgroup.Group{}
		for range atOnce {
			g.Go(func() error {
				_, err := backendtest.Read(t.Context(), s, byETag("e", 8<<10), 0, -1)
				return err
			})
		}
		if err := g.Wait(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(5 * time.Millisecond) // idle
	}
	if n := conns.Load(); n > atOnce*3/2 {
		t.Errorf("%d connections for %d requests, %d at once", n, atOnce*rounds, atOnce)
	}
}

// TestCloseEndsConnections: of GETs and of all other requests.
func TestCloseEndsConnections(t *testing.T) {
	setkeys(t)
	var conns atomic.Int32
	srv := httptest.NewUnstartedServer(http.HandlerFunc(ok))
	srv.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		switch state {
		case http.StateNew:
			conns.Add(1)
		case http.StateClosed:
			conns.Add(-1)
		}
	}
	srv.Start()
	defer srv.Close()
	s := open(t, s3store.Options{Endpoint: srv.URL})
	read(t, s, byETag("e", 3), -1)
	if _, err := s.Stat(t.Context(), byETag("e", 3)); err != nil {
		t.Fatal(err)
	}
	if conns.Load() == 0 {
		t.Error("no connection is kept")
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	soon(t, "all connections are closed", func() bool { return conns.Load() == 0 })
}
