package servers

import (
	"errors"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/s3"
)

const versitygwVersion = "v1.8.0" // tools.sh has the same

// startTries is how often a start is tried: between finding a free port and
// listening on it somebody else may take it.
const startTries = 3

// S3 is a running S3 server with versions. All methods but Stop, Kill and
// Restart may be called from many goroutines at once.
type S3 struct {
	Endpoint  string // http://127.0.0.1:port; wants path-style addressing
	AccessKey string
	SecretKey string
	Region    string

	process   *process
	dir       string
	transport *http.Transport
	client    *s3.Client
}

// StartS3 starts a server for one test and ends it with the test. When the test
// fails, the end of the server's log is added to its output.
func StartS3(t testing.TB) *S3 {
	t.Helper()
	s, stop, err := StartS3Main()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if log := s.process.tail(); t.Failed() && log != "" {
			t.Logf("the log of %s ends:\n%s", s.process.name, log)
		}
		stop()
	})
	return s
}

// StartS3Main starts a server for a whole test binary, from its TestMain. stop
// ends it and removes its data; it must be called before os.Exit.
func StartS3Main() (s *S3, stop func(), err error) {
	for range startTries {
		if s, err = startVersitygw(); err == nil {
			return s, s.remove, nil
		}
	}
	return nil, nil, err
}

func startVersitygw() (*S3, error) {
	program, err := tool("versitygw", versitygwVersion)
	if err != nil {
		return nil, err
	}
	addr, err := freePort()
	if err != nil {
		return nil, err
	}
	dir, err := dataDir("pinfs-s3-")
	if err != nil {
		return nil, err
	}
	s := &S3{Endpoint: "http://" + addr, AccessKey: "testkey", SecretKey: "testsecret", Region: "us-east-1", dir: dir}
	s.transport = &http.Transport{MaxIdleConnsPerHost: 64}
	s.client = s.newClient()
	s.process = &process{
		name: "versitygw", ready: s.Endpoint + "/health", logPath: filepath.Join(dir, "log"),
		command: func() *exec.Cmd { return s.versitygw(program, addr) },
	}
	if err := errors.Join(os.Mkdir(s.path("buckets"), 0o700), os.Mkdir(s.path("versions"), 0o700)); err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	if err := s.process.start(); err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	return s, nil
}

func (s *S3) versitygw(program, addr string) *exec.Cmd {
	cmd := exec.Command(program, "--port", addr, "--health", "/health", "--keep-alive", "--quiet", "--region", s.Region,
		"posix", "--versioning-dir", s.path("versions"), s.path("buckets"))
	cmd.Dir = s.dir
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + s.dir,
		"ROOT_ACCESS_KEY=" + s.AccessKey, "ROOT_SECRET_KEY=" + s.SecretKey}
	return cmd
}

func (s *S3) path(name string) string { return filepath.Join(s.dir, name) }

// Env gives the environment, as name=value, in which a command that follows
// AWS's conventions talks to this server and sees nothing of the user's own
// configuration.
func (s *S3) Env() []string {
	return []string{
		"AWS_ACCESS_KEY_ID=" + s.AccessKey,
		"AWS_SECRET_ACCESS_KEY=" + s.SecretKey,
		"AWS_SESSION_TOKEN=",
		"AWS_REGION=" + s.Region,
		"AWS_ENDPOINT_URL=" + s.Endpoint,
		"AWS_ENDPOINT_URL_S3=" + s.Endpoint,
		"AWS_PROFILE=",
		"AWS_CONFIG_FILE=/dev/null",
		"AWS_SHARED_CREDENTIALS_FILE=/dev/null",
		"AWS_EC2_METADATA_DISABLED=true",
	}
}

// Setenv puts Env into the test's own environment, for code that runs in the
// test binary. Not for parallel tests.
func (s *S3) Setenv(t testing.TB) {
	t.Helper()
	for _, e := range s.Env() {
		name, value, _ := strings.Cut(e, "=")
		t.Setenv(name, value)
	}
}

// Stop ends the server; its data and address stay. Requests are refused until
// Restart.
func (s *S3) Stop(t testing.TB) {
	t.Helper()
	if err := s.process.stop(); err != nil {
		t.Fatal(err)
	}
}

// Kill is Stop without a goodbye: connections that clients keep open end too.
func (s *S3) Kill(testing.TB) { s.process.kill() }

// Restart starts a stopped server again with the same data at the same address.
func (s *S3) Restart(t testing.TB) {
	t.Helper()
	if err := errors.Join(s.process.stop(), s.process.start()); err != nil {
		t.Fatal(err)
	}
}

func (s *S3) remove() {
	s.transport.CloseIdleConnections()
	_ = s.process.stop() // killed is stopped as well
	_ = os.RemoveAll(s.dir)
}
