package backends_test

import (
	"context"
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/pinfs/pinfs/backends"
)

// nameServer answers each question for an address with the next of answers, and with
// the last one from then on. It gives a resolver that asks it.
func nameServer(t *testing.T, answers ...string) *net.Resolver {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	t.Cleanup(func() {
		conn.Close()
		<-done
	})
	var asked atomic.Int64
	go func() {
		defer close(done)
		buf := make([]byte, 1500)
		for {
			n, from, err := conn.ReadFrom(buf)
			if err != nil {
				return
			}
			answer := reply(buf[:n], func() netip.Addr {
				return netip.MustParseAddr(answers[min(int(asked.Add(1)), len(answers))-1])
			})
			if _, err := conn.WriteTo(answer, from); err != nil {
				return
			}
		}
	}()
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "udp", conn.LocalAddr().String())
	}}
}

// reply makes a DNS answer (RFC 1035): one A record, and nothing for other types.
func reply(question []byte, next func() netip.Addr) []byte {
	end := 12
	for question[end] != 0 {
		end += int(question[end]) + 1
	}
	kind := binary.BigEndian.Uint16(question[end+1:])
	end += 5
	msg := append([]byte{}, question[:end]...)
	msg[2], msg[3] = 0x81, 0x80
	clear(msg[6:12])
	if kind != 1 {
		return msg
	}
	msg[7] = 1
	a := next().As4()
	return append(append(msg, 0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4), a[:]...)
}

// TestDialLooksAtEachAnswer: a name that led to an allowed address leads to another
// one the next time.
func TestDialLooksAtEachAnswer(t *testing.T) {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	dialer := net.Dialer{Resolver: nameServer(t, "127.0.0.1", "169.254.169.254")}
	dial := rules(t, backends.RulesOptions{}).Dial(dialer, "")
	conn, err := dial(t.Context(), "tcp4", "rebind.example:"+port)
	if err != nil {
		t.Fatalf("the first answer: %v", err)
	}
	conn.Close()
	var refused *backends.Refusal
	if conn, err = dial(t.Context(), "tcp4", "rebind.example:"+port); !errors.As(err, &refused) {
		t.Fatalf("got %v, %v, want a refusal", conn, err)
	}
}

// TestDialOwn: only what the user himself has named is asked wherever it is.
func TestDialOwn(t *testing.T) {
	errAsked := errors.New("asked")
	probe := net.Dialer{ControlContext: func(context.Context, string, string, syscall.RawConn) error { return errAsked }}
	r := rules(t, backends.RulesOptions{Allow: []string{"http://169.254.7.7:99/"}})
	dial := r.Dial(probe, "169.254.1.1:9000")
	var refused *backends.Refusal
	for addr, ok := range map[string]bool{"169.254.1.1:9000": true, "169.254.1.1:80": false, "169.254.1.2:9000": false} {
		_, err := dial(t.Context(), "tcp", addr)
		if errors.Is(err, errAsked) != ok || errors.As(err, &refused) == ok {
			t.Errorf("%s: got %v, want it asked: %v", addr, err, ok)
		}
	}
	for addr, ok := range map[string]bool{"169.254.7.7:99": true, "[::ffff:169.254.7.7]:99": true, "169.254.7.7:80": false, "169.254.7.8:99": false} {
		if err := r.Control(t.Context(), "tcp", addr, nil); (err == nil) != ok {
			t.Errorf("%s: got %v, want it asked: %v", addr, err, ok)
		}
	}
}
