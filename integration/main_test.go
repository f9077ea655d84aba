package integration_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/pinfs/pinfs/integration/servers"
)

// env is what all tests of one run share: the built command and one S3 server.
type env struct {
	bin string
	s3  *servers.S3
}

var shared env

func TestMain(m *testing.M) {
	code, err := run(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, "integration:", err)
		code = 1
	}
	os.Exit(code)
}

func run(m *testing.M) (int, error) {
	if f, err := os.OpenFile("/dev/fuse", os.O_RDWR, 0); err != nil {
		return 1, fmt.Errorf("/dev/fuse can't be opened: %w; run integration/tools.sh check test", err)
	} else if err := f.Close(); err != nil {
		return 1, err
	}
	dir, err := os.MkdirTemp("", "pinfs-integration-")
	if err != nil {
		return 1, err
	}
	defer os.RemoveAll(dir)
	if err := os.Chmod(dir, 0o755); err != nil { // another user runs the command too
		return 1, err
	}
	shared.bin = filepath.Join(dir, "pinfs")
	build := exec.Command("go", "build", "-o", shared.bin, "../cmd/pinfs")
	if out, err := build.CombinedOutput(); err != nil {
		return 1, fmt.Errorf("build pinfs: %w\n%s", err, out)
	}
	s3, stop, err := servers.StartS3Main()
	if err != nil {
		return 1, err
	}
	defer stop()
	shared.s3 = s3
	return m.Run(), nil
}
