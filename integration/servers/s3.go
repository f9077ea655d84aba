package servers

import (
	"net/http"
	"os"
	"os/exec"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/s3"
)

const versitygwVersion = "v1.8.0" // tools.sh has the same

// S3 is a running S3 server with versions. All methods but Stop, Kill and
// Restart may be called from many goroutines at once.
type S3 struct {
	Endpoint  string // http://127.0.0.1:port; wants path-style addressing
	AccessKey string
	SecretKey string
	Region    string

	*program
	transport *http.Transport
	client    *s3.Client
}

// StartS3 starts a versitygw for one test and ends it with the test. When the
// test fails, the end of the server's log is added to its output.
func StartS3(t testing.TB) *S3 {
	t.Helper()
	return forTest(t, StartS3Main)
}

// StartS3Main starts a versitygw for a whole test binary, from its TestMain. stop
// ends it and removes its data; it must be called before os.Exit.
func StartS3Main() (s *S3, stop func(), err error) { return tried(startVersitygw) }

func startVersitygw() (*S3, error) {
	path, err := tool("versitygw", versitygwVersion)
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
	s := newS3(addr, dir)
	s.process = &process{
		name: "versitygw", ready: s.Endpoint + "/health", logPath: s.path("log"),
		command: func() *exec.Cmd { return s.versitygw(path, addr) },
	}
	return s, s.run("buckets", "versions")
}

// newS3 is a server at addr whose data is in dir; its process is still missing.
func newS3(addr, dir string) *S3 {
	s := &S3{Endpoint: "http://" + addr, AccessKey: "testkey", SecretKey: "testsecret", Region: "us-east-1"}
	s.transport = &http.Transport{MaxIdleConnsPerHost: 64}
	s.client = s.newClient()
	s.program = &program{dir: dir, closers: []func(){s.transport.CloseIdleConnections}}
	return s
}

func (s *S3) versitygw(program, addr string) *exec.Cmd {
	cmd := exec.Command(program, "--port", addr, "--health", "/health", "--keep-alive", "--quiet", "--region", s.Region,
		"posix", "--versioning-dir", s.path("versions"), s.path("buckets"))
	cmd.Dir = s.dir
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + s.dir,
		"ROOT_ACCESS_KEY=" + s.AccessKey, "ROOT_SECRET_KEY=" + s.SecretKey}
	return cmd
}

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
	setenv(t, s.Env())
}
