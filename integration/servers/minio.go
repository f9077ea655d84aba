package servers

import (
	"os"
	"os/exec"
	"testing"
)

const minioVersion = "v0.0.0-20260212201848-7aac2a2c5b7c" // tools.sh has the same

// StartMinIO is StartS3 with the other implementation.
func StartMinIO(t testing.TB) *S3 {
	t.Helper()
	return forTest(t, StartMinIOMain)
}

// StartMinIOMain is StartS3Main with the other implementation.
func StartMinIOMain() (s *S3, stop func(), err error) { return tried(startMinIO) }

func startMinIO() (*S3, error) {
	path, err := tool("minio", minioVersion)
	if err != nil {
		return nil, err
	}
	addr, err := freePort()
	if err != nil {
		return nil, err
	}
	dir, unlock, err := memoryDir("pinfs-minio-")
	if err != nil {
		return nil, err
	}
	s := newS3(addr, dir)
	s.closers = append(s.closers, unlock)
	s.process = &process{
		name: "minio", ready: s.Endpoint + "/minio/health/ready", logPath: s.path("log"),
		command: func() *exec.Cmd { return s.minio(path, addr) },
	}
	return s, s.run("data", "certs")
}

// minio runs without its web pages and without looking for updates. It cuts a
// reader that stalls for longer than MINIO_IDLE_TIMEOUT, 30 s if nobody says.
func (s *S3) minio(path, addr string) *exec.Cmd {
	cmd := exec.Command(path, "server", "--quiet", "--certs-dir", s.path("certs"), "--address", addr,
		"--console-address", "127.0.0.1:0", s.path("data"))
	cmd.Dir = s.dir
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + s.dir,
		"MINIO_ROOT_USER=" + s.AccessKey, "MINIO_ROOT_PASSWORD=" + s.SecretKey,
		"MINIO_BROWSER=off", "MINIO_UPDATE=off", "MINIO_CI_CD=1", "MINIO_API_ODIRECT=off", "MINIO_IDLE_TIMEOUT=5m"}
	return cmd
}
