package integration_test

import (
	"bytes"
	"errors"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/pinfs/pinfs/integration/servers"
)

// torture tells whether the long forms of the tests are wanted: make torture.
func torture() bool { return os.Getenv("PINFS_TORTURE") != "" }

// lasting gives the length of a fault: short, or long in make torture.
func lasting(short, long time.Duration) time.Duration {
	if torture() {
		return long
	}
	return short
}

// rounds gives how often something is done: seldom, or often in make torture.
func rounds(short, long int) int {
	if torture() {
		return long
	}
	return short
}

// island is a network with the loopback interface alone, and a mount namespace in
// which resolv names the island's own name server.
type island struct {
	t   testing.TB
	pid string // of a process in it
}

const enterIsland = leaveOthers + `
set -e
ip link set lo up
printf 'nameserver 127.0.0.1\noptions timeout:1 attempts:1\n' >"$1/resolv.conf"
mount --bind "$1/resolv.conf" /etc/resolv.conf
echo ready
exec sleep 1000000`

func newIsland(t testing.TB) *island {
	t.Helper()
	return &island{t, newNamespace(t, enterIsland, t.TempDir(), "--net")}
}

// enter is what runs a command in the island's namespaces.
func (i *island) enter(namespaces ...string) []string {
	return append([]string{"nsenter", "--target", i.pid}, namespaces...)
}

// link sets the only interface up or down: the whole network comes and goes.
func (i *island) link(state string) {
	i.t.Helper()
	program(i.t, "/", "nsenter", "--target", i.pid, "--net", "ip", "link", "set", "lo", state)
}

// within calls f on a thread that is in the network: what it listens on is there.
func (i *island) within(f func()) {
	i.t.Helper()
	runtime.LockOSThread() // given up only when the thread is home again
	home := namespace(i.t, "/proc/thread-self/ns/net")
	defer home.Close()
	there := namespace(i.t, "/proc/"+i.pid+"/ns/net")
	defer there.Close()
	if err := unix.Setns(int(there.Fd()), unix.CLONE_NEWNET); err != nil {
		i.t.Fatal(err)
	}
	f()
	if err := unix.Setns(int(home.Fd()), unix.CLONE_NEWNET); err != nil {
		i.t.Fatal(err)
	}
	runtime.UnlockOSThread()
}

func namespace(t testing.TB, path string) *os.File {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// proxied gives the host with a proxy in the island between it and S3. The proxy
// itself reaches S3 by the network of this process.
func (i *island) proxied(h *host, hostname string) (*host, *servers.FaultProxy) {
	var p *servers.FaultProxy
	i.within(func() { p = servers.StartFaultProxy(i.t, shared.s3.Endpoint) })
	endpoint := strings.Replace(p.Endpoint, "127.0.0.1", hostname, 1)
	return h.with("AWS_ENDPOINT_URL="+endpoint, "AWS_ENDPOINT_URL_S3="+endpoint, "NO_PROXY=*"), p
}

// faultyOn tracks objects on h, which reaches S3 through p, and mounts them.
func faultyOn(h *host, p *servers.FaultProxy, versioned bool, objects map[string][]byte, flags ...string) *faulty {
	h.t.Helper()
	f := &faulty{host: h, proxy: p, bucket: newBucket(h.t, versioned), objects: objects}
	f.putObjects()
	f.mnt = f.mount(append([]string{"faults/all:v0"}, flags...)...)
	return f
}

// putObjects puts the objects below d/ and tracks them.
func (f *faulty) putObjects() {
	f.t.Helper()
	keys := map[string][]byte{}
	for name, data := range f.objects {
		keys["d/"+name] = data
	}
	putAll(f.t, f.bucket, keys)
	f.put("faults/all", "s3://"+f.bucket+"/d")
}

// wantNoErrors: no reader got an error, as status says.
func (h *host) wantNoErrors() {
	h.t.Helper()
	s := h.status()
	if s.Daemon.PID == 0 {
		h.t.Error("no daemon answers")
	}
	if len(s.Errors) > 0 {
		h.t.Errorf("status has %d errors, the first: %+v", len(s.Errors), s.Errors[0])
	}
}

// reading is a read in the background.
type reading struct {
	name  string
	data  []byte
	err   error
	ended chan struct{}
}

func (f *faulty) startReading(name string) *reading {
	r := &reading{name: name, ended: make(chan struct{})}
	go func() {
		defer close(r.ended)
		r.data, r.err = readBlocking(filepath.Join(f.mnt, name))
	}()
	return r
}

func (r *reading) over() bool {
	select {
	case <-r.ended:
		return true
	default:
		return false
	}
}

// fetches waits until so many bytes more have come from the source.
func (f *faulty) fetches(n int64) (fetched int64) {
	f.t.Helper()
	eventually(f.t, "the file is being fetched", func() bool {
		fetched += f.proxy.Traffic().Bytes
		return fetched >= n
	})
	return fetched
}

// wantEnd waits for the end of a read of what was recorded.
func (f *faulty) wantEnd(r *reading, within time.Duration) {
	f.t.Helper()
	select {
	case <-r.ended:
	case <-time.After(within):
		f.t.Fatalf("%s: the read has not ended after %v", r.name, within)
	}
	if r.err != nil || !bytes.Equal(r.data, f.objects[r.name]) {
		f.t.Errorf("%s: %d bytes, %v, want the %d recorded ones", r.name, len(r.data), r.err, len(f.objects[r.name]))
	}
}

// readDeadline is more than any read may take: the budget of one read, and what a
// busy machine adds.
const readDeadline = 3 * time.Minute

// TestNetworkGone: without any network what is cached stays readable, and readers wait
// and go on when it comes back. Make torture waits for the ends: commands give up, and
// after the budget of a read readers get ETIMEDOUT.
func TestNetworkGone(t *testing.T) {
	t.Parallel()
	i := newIsland(t)
	h, p := i.proxied(newHost(t), "127.0.0.1")
	h.enter = i.enter("--net")
	f := faultyOn(h, p, true, map[string][]byte{"cached": randomBytes(50_000, 1), "cached large": randomBytes(3<<20, 2),
		"large": randomBytes(24<<20, 3), "small": randomBytes(5000, 4), "later": randomBytes(5000, 5)})
	f.wantRight("cached")
	f.wantRight("cached large")
	p.Inject(servers.Fault{Match: getOf("/d/large"), Rate: 4 << 20})
	large := f.startReading("large")
	f.fetches(1 << 20)
	i.link("down")
	small := f.startReading("small")
	forgetPages(t)
	f.wantRight("cached")
	f.wantRight("cached large")
	time.Sleep(3 * time.Second)
	if large.over() || small.over() {
		t.Errorf("a read has ended without a network: %v, %v", large.err, small.err)
	}
	f.wantNoErrors()
	if torture() {
		wantOneLine(t, h.run("put", "--name", "faults/none", "--type", "dataset", "s3://"+f.bucket+"/d"), 4, f.bucket) // after 12 s
		for _, r := range []*reading{large, small} {
			select {
			case <-r.ended:
			case <-time.After(readDeadline):
				t.Fatalf("%s: no deadline ended the read", r.name)
			}
			if !errors.Is(r.err, syscall.ETIMEDOUT) {
				t.Errorf("%s: %v, want ETIMEDOUT", r.name, r.err)
			}
			f.wantStatus(r.name)
		}
		small = f.startReading("later")
		large = small
	}
	p.Heal()
	i.link("up")
	f.wantEnd(large, readDeadline)
	f.wantEnd(small, readDeadline)
	for name := range f.objects {
		f.wantRight(name)
	}
}

// What a name server says.
const (
	nameUnknown int32 = iota
	nameSilent
	nameKnown
)

// nameServer knows one address, 127.0.0.1, for all names or for none.
type nameServer struct {
	says  atomic.Int32
	asked atomic.Int32
}

func (i *island) startNameServer() *nameServer {
	var conn net.PacketConn
	var err error
	i.within(func() { conn, err = net.ListenPacket("udp4", "127.0.0.1:53") })
	if err != nil {
		i.t.Fatal(err)
	}
	n := &nameServer{}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		n.serve(conn)
	}()
	i.t.Cleanup(func() { conn.Close(); <-ended })
	return n
}

func (n *nameServer) serve(conn net.PacketConn) {
	buf := make([]byte, 1500)
	for {
		k, from, err := conn.ReadFrom(buf)
		if err != nil {
			return
		}
		n.asked.Add(1)
		if says := n.says.Load(); says != nameSilent {
			_, _ = conn.WriteTo(nameAnswer(buf[:k], says == nameKnown), from)
		}
	}
}

// nameAnswer answers a question of DNS (RFC 1035, 4.1).
func nameAnswer(q []byte, known bool) []byte {
	end := 12 // of the question: the name, its type, its class
	for end < len(q) && q[end] != 0 {
		end += 1 + int(q[end])
	}
	if end += 5; end > len(q) {
		return nil
	}
	a := append([]byte(nil), q[:end]...)
	a[2], a[3] = a[2]|0x80, 0x80 // a response, recursion available
	clear(a[6:12])               // the counts of what follows
	if !known {
		a[3] |= 3 // no such name
		return a
	}
	if q[end-3] == 1 { // an address of IPv4
		a[7] = 1
		a = append(a, 0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4, 127, 0, 0, 1)
	}
	return a
}

// TestNameDoesNotResolve: a source whose name does not resolve is asked for again
// within the budget; what is cached stays readable; commands say what is wrong.
func TestNameDoesNotResolve(t *testing.T) {
	t.Parallel()
	i := newIsland(t)
	names := i.startNameServer()
	names.says.Store(nameKnown)
	h, p := i.proxied(newHost(t), "storage.pinfs.test")
	h.enter = i.enter("--net", "--mount")
	f := faultyOn(h, p, true, map[string][]byte{"first": randomBytes(50_000, 1), "second": randomBytes(5000, 2), "third": randomBytes(5000, 3)})
	inside := *f
	f.mnt = "/proc/" + i.pid + "/root" + f.mnt // the mount is in the island's namespace
	f.wantRight("first")
	for _, says := range []int32{nameUnknown, nameSilent} {
		names.says.Store(says)
		p.Inject(servers.Fault{Reset: true}) // so that no connection is used that it had before
		r := f.startReading(map[int32]string{nameUnknown: "second", nameSilent: "third"}[says])
		before := names.asked.Load()
		eventually(t, "the name is asked for again and again", func() bool { return names.asked.Load() >= before+6 })
		forgetPages(t)
		f.wantRight("first")
		if r.over() {
			t.Errorf("%s: %v without an address", r.name, r.err)
		}
		if torture() && says == nameUnknown { // after 12 s
			wantOneLine(t, h.run("put", "--name", "faults/none", "--type", "dataset", "s3://"+f.bucket+"/d"), 4, "storage.pinfs.test", "does not resolve")
		}
		p.Heal()
		names.says.Store(nameKnown)
		f.wantEnd(r, readDeadline)
	}
	inside.wantNoErrors()
}
