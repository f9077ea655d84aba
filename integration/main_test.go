package integration_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/pinfs/pinfs/integration/servers"
	"github.com/pinfs/pinfs/integration/servers/share"
	"github.com/pinfs/pinfs/testwarden"
)

// env is what all tests of one run share: the built command, one S3 server, and
// the servers that start when the first test asks for them.
type env struct {
	bin string
	s3  *servers.S3

	minio *servers.OnDemand[*servers.S3]
	gcs   *servers.OnDemand[*servers.GCS]
	azure *servers.OnDemand[*servers.Azure]
	nginx *servers.OnDemand[*servers.Nginx]
}

var shared = env{
	minio: servers.NewOnDemand(servers.StartMinIOMain),
	gcs:   servers.NewOnDemand(servers.StartGCSMain),
	azure: servers.NewOnDemand(servers.StartAzureMain),
	nginx: servers.NewOnDemand(servers.StartNginxMain),
}

func TestMain(m *testing.M) {
	if share.Asked() { // by servers.StartShare
		if err := share.Serve(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	testwarden.Main()
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
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
	defer cancel()
	build := testwarden.Command(ctx, "go", "build", "-o", shared.bin, "../cmd/pinfs")
	if out, err := build.CombinedOutput(); err != nil {
		return 1, fmt.Errorf("build pinfs: %w\n%s", err, out)
	}
	s3, stop, err := servers.StartS3Main()
	if err != nil {
		return 1, err
	}
	defer stop()
	shared.s3 = s3
	for _, stop := range []func(){shared.minio.Stop, shared.gcs.Stop, shared.azure.Stop, shared.nginx.Stop} {
		defer stop()
	}
	return m.Run(), nil
}
