package s3store_test

import (
	"bufio"
	"context"
	"encoding/pem"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pinfs/pinfs/backends/backendtest"
	"github.com/pinfs/pinfs/backends/s3store"
	"github.com/pinfs/pinfs/manifest"
)

// later is where a peer's answer rests for a moment.
const later = "\f"

const answer = "HTTP/1.1 200 OK\r\nEtag: \"e\"\r\nContent-Length: 3\r\n\r\nabc"

// peer is a server of TCP: each connection is answered as serve says, which gets its
// number and those of its requests, from 1, and gives what to send and whether the
// connection goes on.
type peer struct {
	url   string
	conns atomic.Int32
}

func newPeer(t *testing.T, serve func(conn, request int) (answer string, on bool)) *peer {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := &peer{url: "http://" + listener.Addr().String()}
	var all sync.WaitGroup
	all.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			n := int(l.conns.Add(1))
			all.Go(func() {
				defer conn.Close()
				in, on := bufio.NewReader(conn), true
				for request := 1; on; request++ {
					if _, err := http.ReadRequest(in); err != nil {
						return
					}
					var text string
					text, on = serve(n, request)
					for i, part := range strings.Split(text, later) {
						time.Sleep(time.Duration(i) * time.Millisecond)
						_, _ = io.WriteString(conn, part)
					}
				}
			})
		}
	})
	t.Cleanup(func() { _ = listener.Close(); all.Wait() })
	return l
}

func (l *peer) wants(t *testing.T, s *s3store.Store, reads, conns int) {
	t.Helper()
	for range reads {
		if got, err := backendtest.Read(t.Context(), s, byETag("e", 3), 0, -1); got != "abc" || err != nil {
			t.Fatalf("%q, %v", got, err)
		}
		time.Sleep(5 * time.Millisecond) // what the server does after its answer comes through
	}
	if n := int(l.conns.Load()); n != conns {
		t.Errorf("%d connections for %d reads, want %d", n, reads, conns)
	}
	if err := s.Close(); err != nil { // the server waits for the end of its connections
		t.Error(err)
	}
}

// TestKeptConnections: what a server may do to a connection that is kept costs
// another one, and no read.
func TestKeptConnections(t *testing.T) {
	for name, c := range map[string]struct {
		serve func(conn, request int) (string, bool)
		conns int
	}{
		"kept":                    {func(int, int) (string, bool) { return answer, true }, 1},
		"closed after the answer": {func(int, int) (string, bool) { return answer, false }, 4},
		"closed as it says": {func(int, int) (string, bool) {
			return strings.Replace(answer, "\r\n", "\r\nConnection: close\r\n", 1), true
		}, 4},
		"closed on the second request": {func(_, request int) (string, bool) {
			if request > 1 {
				return "", false
			}
			return answer, true
		}, 4},
		"an answer that nobody asked for": {func(int, int) (string, bool) {
			return answer + strings.Replace(answer, "abc", "xyz", 1), true
		}, 4},
		"the same a little later": {func(int, int) (string, bool) {
			return answer + later + strings.Replace(answer, "abc", "xyz", 1), true
		}, 4},
		"interim answers": {func(int, int) (string, bool) {
			return "HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n" + answer, true
		}, 1},
		"in chunks": {func(int, int) (string, bool) {
			return "HTTP/1.1 200 OK\r\nEtag: \"e\"\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n", true
		}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			setkeys(t)
			l := newPeer(t, c.serve)
			l.wants(t, open(t, s3store.Options{Endpoint: l.url}), 4, c.conns)
		})
	}
}

// TestMuteOnce: a new connection that is closed without an answer is an error, not
// asked again by the driver.
func TestMuteOnce(t *testing.T) {
	setkeys(t)
	l := newPeer(t, func(conn, _ int) (string, bool) {
		if conn > 1 {
			return "", false
		}
		return answer, false
	})
	s := open(t, s3store.Options{Endpoint: l.url})
	if _, err := backendtest.Read(t.Context(), s, byETag("e", 3), 0, -1); err != nil {
		t.Fatal(err)
	}
	_, err := backendtest.Read(t.Context(), s, byETag("e", 3), 0, -1)
	wantError(t, err, manifest.KindUnreachable, "EOF")
	if n := l.conns.Load(); n != 2 {
		t.Errorf("%d connections for 2 calls, want 2", n)
	}
}

// TestGivenUp: a connection whose reader gave up, in the header or in the body, is
// not used again, and is closed.
func TestGivenUp(t *testing.T) {
	for name, part := range map[string]string{"header": "HTTP/1.1 200 OK\r\nEtag", "body": strings.TrimSuffix(answer, "c")} {
		t.Run(name, func(t *testing.T) {
			setkeys(t)
			l := newPeer(t, func(conn, request int) (string, bool) {
				if conn == 1 && request == 2 {
					return part, true
				}
				return answer, true
			})
			s := open(t, s3store.Options{Endpoint: l.url})
			if _, err := backendtest.Read(t.Context(), s, byETag("e", 3), 0, -1); err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithCancel(t.Context())
			time.AfterFunc(20*time.Millisecond, cancel)
			_, err := backendtest.Read(ctx, s, byETag("e", 3), 0, -1)
			wantError(t, err, manifest.KindCanceled)
			l.wants(t, s, 2, 2)
		})
	}
}

// TestLongHeader: the transport's bound of a header holds.
func TestLongHeader(t *testing.T) {
	setkeys(t)
	l := newPeer(t, func(int, int) (string, bool) {
		return strings.Replace(answer, "\r\n", "\r\nX-Long: "+strings.Repeat("x", 64<<10)+"\r\n", 1), true
	})
	s := open(t, s3store.Options{Endpoint: l.url, Transport: &http.Transport{MaxResponseHeaderBytes: 32 << 10}})
	_, err := backendtest.Read(t.Context(), s, byETag("e", 3), 0, -1)
	wantError(t, err, manifest.KindUnreachable, "header is too long")
}

// TestSlowHeader: the transport's bound of the time until the header holds.
func TestSlowHeader(t *testing.T) {
	setkeys(t)
	l := newPeer(t, func(int, int) (string, bool) { return "HTTP/1.1 200 OK\r\n", true })
	s := open(t, s3store.Options{Endpoint: l.url, Transport: &http.Transport{ResponseHeaderTimeout: 20 * time.Millisecond}})
	_, err := backendtest.Read(t.Context(), s, byETag("e", 3), 0, -1)
	wantError(t, err, manifest.KindUnreachable, "timeout")
}

// TestSentOn: a redirect that keeps the method is followed.
func TestSentOn(t *testing.T) {
	there := backendtest.NewScripted(t, ok)
	s := store(t, backendtest.NewScripted(t, func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/moved") {
			http.Redirect(w, r, there.URL+"/x", http.StatusTemporaryRedirect)
			return
		}
		ok(w, r)
	}))
	read(t, s, byETag("e", 3), -1)
	moved := byETag("e", 3)
	moved.Ref = "s3://bucket/moved"
	read(t, s, moved, -1)
	if n := there.CountOf(nil); n != 1 {
		t.Errorf("%d requests to where it was sent on to, want 1", n)
	}
}

// TestProxy: every request goes through the proxy.
func TestProxy(t *testing.T) {
	proxy := backendtest.NewScripted(t, ok)
	at, err := url.Parse(proxy.URL)
	if err != nil {
		t.Fatal(err)
	}
	setkeys(t)
	through := &http.Transport{Proxy: http.ProxyURL(at)}
	defer through.CloseIdleConnections()
	s := open(t, s3store.Options{Endpoint: "http://s3.nowhere.example", Transport: through})
	for range 3 {
		read(t, s, byETag("e", 3), -1)
	}
	if n := proxy.CountOf(func(r *http.Request) bool { return r.URL.Host == "s3.nowhere.example" }); n != 3 {
		t.Errorf("%d of 3 requests came to the proxy", n)
	}
}

// TestTrust: TLS by the authority of AWS_CA_BUNDLE, and by no other.
func TestTrust(t *testing.T) {
	f := httptest.NewUnstartedServer(http.HandlerFunc(ok))
	var conns atomic.Int32
	f.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			conns.Add(1)
		}
	}
	f.StartTLS()
	defer f.Close()
	setkeys(t)
	_, err := backendtest.Read(t.Context(), open(t, s3store.Options{Endpoint: f.URL}), byETag("e", 3), 0, -1)
	wantError(t, err, manifest.KindUnreachable, "certificate", "AWS_CA_BUNDLE")

	bundle := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(bundle, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: f.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("AWS_CA_BUNDLE", bundle)
	conns.Store(0)
	s := open(t, s3store.Options{Endpoint: f.URL})
	for range 4 {
		if got, err := backendtest.Read(t.Context(), s, byETag("e", 3), 0, -1); got != "abc" || err != nil {
			t.Fatalf("%q, %v", got, err)
		}
	}
	if n := conns.Load(); n != 1 {
		t.Errorf("%d connections for 4 reads, want 1", n)
	}
}

// TestIdleConnections: as many are kept as are wanted, for as long as the transport
// says, and none after Close; none of them has a goroutine.
func TestIdleConnections(t *testing.T) {
	const atOnce, kept = 8, 4
	setkeys(t)
	gate := make(chan struct{})
	var waiting, idle atomic.Int32
	f := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if waiting.Add(1) == atOnce {
			close(gate)
		}
		<-gate
		ok(w, r)
	}))
	f.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		switch state {
		case http.StateNew:
			idle.Add(1)
		case http.StateClosed:
			idle.Add(-1)
		}
	}
	f.Start()
	defer f.Close()
	for name, end := range map[string]time.Duration{"idle for too long": 200 * time.Millisecond, "closed": time.Hour} {
		waiting.Store(0)
		gate = make(chan struct{})
		s := open(t, s3store.Options{Endpoint: f.URL, Transport: &http.Transport{MaxIdleConnsPerHost: kept, IdleConnTimeout: end}})
		var all sync.WaitGroup
		for range atOnce {
			all.Go(func() { _, _ = backendtest.Read(t.Context(), s, byETag("e", 3), 0, -1) })
		}
		all.Wait()
		soon(t, fmt.Sprintf("%s: %d connections are kept", name, kept), func() bool { return idle.Load() == kept })
		if stacks := allStacks(); strings.Contains(stacks, "persistConn") {
			t.Errorf("a connection has goroutines of its own: %s", stacks)
		}
		if end == time.Hour {
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		}
		soon(t, name, func() bool { return idle.Load() == 0 })
	}
}

func allStacks() string {
	buf := make([]byte, 1<<20)
	return string(buf[:runtime.Stack(buf, true)])
}

// soon waits until so holds.
func soon(t *testing.T, what string, so func() bool) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); !so(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not in 10 s: %s", what)
		}
	}
}
