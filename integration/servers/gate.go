package servers

import (
	"context"
	"errors"
	"net"
	"net/http"
	"sync"
	"time"
)

// handlersDeadline is how long a stopped gate waits for its last requests.
const handlersDeadline = 5 * time.Second

// gate serves a handler, inside of the test binary, in front of a server.
type gate struct {
	endpoint string
	server   *http.Server
	cancel   context.CancelFunc
	requests sync.WaitGroup
	served   chan struct{}
}

// openGate serves h at a free port of the loopback interface.
func openGate(h http.Handler) (*gate, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	g := &gate{endpoint: "http://" + l.Addr().String(), cancel: cancel, served: make(chan struct{})}
	g.server = &http.Server{
		ReadHeaderTimeout: time.Minute,
		BaseContext:       func(net.Listener) context.Context { return ctx },
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			g.requests.Add(1)
			defer g.requests.Done()
			h.ServeHTTP(w, r)
		}),
	}
	go func() {
		defer close(g.served)
		if err := g.server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			cancel()
		}
	}()
	return g, nil
}

// close ends all connections, and the requests on them.
func (g *gate) close() {
	g.cancel()
	_ = g.server.Close() // the listener's error changes nothing
	<-g.served
	done := make(chan struct{})
	go func() { g.requests.Wait(); close(done) }()
	select {
	case <-done:
	case <-time.After(handlersDeadline):
	}
}
