package servers

import (
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"testing"

	"github.com/pinfs/pinfs/integration/servers/gcsgate"
)

const fakeGCSVersion = "v1.56.1" // tools.sh has the same

// GCS is a running fake-gcs-server, which keeps everything in memory, behind a
// gcsgate. All methods but Stop, Kill and Restart may be called from many
// goroutines at once.
type GCS struct {
	Endpoint string // of the gate, http://127.0.0.1:port; for STORAGE_EMULATOR_HOST
	Direct   string // of the server itself: no preconditions of reads

	*program
	transport *http.Transport
}

// StartGCS starts a server for one test and ends it with the test.
func StartGCS(t testing.TB) *GCS {
	t.Helper()
	return forTest(t, StartGCSMain)
}

// StartGCSMain starts a server for a whole test binary, from its TestMain. stop
// ends it; it must be called before os.Exit.
func StartGCSMain() (s *GCS, stop func(), err error) { return tried(startGCS) }

func startGCS() (*GCS, error) {
	path, err := tool("fake-gcs-server", fakeGCSVersion)
	if err != nil {
		return nil, err
	}
	addr, err := freePort()
	if err != nil {
		return nil, err
	}
	h := gcsgate.New(&url.URL{Scheme: "http", Host: addr})
	g, err := openGate(h)
	if err != nil {
		return nil, err
	}
	s := &GCS{Endpoint: g.endpoint, Direct: "http://" + addr, transport: &http.Transport{MaxIdleConnsPerHost: 64}}
	s.program = &program{closers: []func(){h.Close, g.close, s.transport.CloseIdleConnections}}
	if s.dir, err = os.MkdirTemp("", "pinfs-gcs-"); err != nil {
		g.close()
		return nil, err
	}
	s.process = &process{
		name: "fake-gcs-server", ready: s.Direct + "/_internal/healthcheck", logPath: s.path("log"),
		command: func() *exec.Cmd { return s.fakeGCS(path, addr) },
	}
	return s, s.run()
}

func (s *GCS) fakeGCS(path, addr string) *exec.Cmd {
	u := url.URL{Host: addr}
	cmd := exec.Command(path, "-scheme", "http", "-host", u.Hostname(), "-port", u.Port(), "-backend", "memory",
		"-public-host", addr, "-external-url", s.Endpoint, "-log-level", "warn")
	cmd.Dir = s.dir
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + s.dir}
	return cmd
}

// closedPort is an address that refuses connections at once.
const closedPort = "127.0.0.1:1"

// Env gives the environment, as name=value, in which a command that follows
// Google's conventions talks to this server and to nobody else.
func (s *GCS) Env() []string { return GCSEnv(s.Endpoint) }

// GCSEnv is Env for another endpoint, such as a fault proxy's.
func GCSEnv(endpoint string) []string {
	return []string{
		"STORAGE_EMULATOR_HOST=" + endpoint,
		"GOOGLE_APPLICATION_CREDENTIALS=",
		"GOOGLE_CLOUD_PROJECT=pinfs-test",
		"GCE_METADATA_HOST=" + closedPort,
		"CLOUDSDK_CONFIG=/nonexistent",
	}
}

// Setenv puts Env into the test's own environment, for code that runs in the
// test binary. Not for parallel tests.
func (s *GCS) Setenv(t testing.TB) {
	t.Helper()
	setenv(t, s.Env())
}
