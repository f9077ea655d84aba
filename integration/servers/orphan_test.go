package servers_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/pinfs/pinfs/integration/servers"
	"github.com/pinfs/pinfs/integration/servers/share"
	"github.com/pinfs/pinfs/testwarden"
)

// What the tests of this package share.
var (
	s3s   = servers.NewOnDemand(servers.StartS3Main)
	minio = servers.NewOnDemand(servers.StartMinIOMain)
	gcs   = servers.NewOnDemand(servers.StartGCSMain)
	azure = servers.NewOnDemand(servers.StartAzureMain)
	nginx = servers.NewOnDemand(servers.StartNginxMain)
)

// orphanEnv makes this test binary start a server, say where, and wait.
const orphanEnv = "PINFS_TEST_ORPHAN"

func TestMain(m *testing.M) {
	if share.Asked() {
		if err := share.Serve(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	if os.Getenv(orphanEnv) == "" {
		testwarden.Main()
		os.Exit(run(m))
	}
	s, stop, err := servers.StartS3Main()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	defer stop()
	fmt.Println(s.Endpoint)
	_, _ = os.Stdin.Read(make([]byte, 1)) // until it is killed or the test is gone
}

// run runs the tests; 1 as well when a goroutine or a process is left behind.
func run(m *testing.M) int {
	code := m.Run()
	for _, stop := range []func(){s3s.Stop, minio.Stop, gcs.Stop, azure.Stop, nginx.Stop} {
		stop()
	}
	http.DefaultClient.CloseIdleConnections()
	if err := errors.Join(goleak.Find(), leftBehind()); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return code
}

// leftBehind says which child processes this one still has.
func leftBehind() error {
	files, err := filepath.Glob("/proc/self/task/*/children")
	if err != nil {
		return err
	}
	for _, f := range files {
		if pids, err := os.ReadFile(f); err == nil && len(pids) > 0 {
			return fmt.Errorf("child processes are left behind: %s", pids)
		}
	}
	return nil
}

// TestNoOrphan: a test binary that is killed takes its server with it.
func TestNoOrphan(t *testing.T) {
	tmp := t.TempDir()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := testwarden.Command(ctx, os.Args[0])
	cmd.Env = append(os.Environ(), orphanEnv+"=1", "TMPDIR="+tmp)
	cmd.Stderr = t.Output()
	if _, err := cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	endpoint, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		cancel()
		t.Fatalf("%v: %v", err, cmd.Wait())
	}
	health := strings.TrimSpace(endpoint) + "/health"
	if !serves(health) {
		t.Fatal("the server does not answer")
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	for deadline := time.Now().Add(10 * time.Second); serves(health); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the server still answers 10 s after its test binary was killed")
		}
	}
}

func serves(url string) bool {
	resp, err := (&http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}).Get(url)
	if err != nil {
		return false
	}
	resp.Body.Close()
	return resp.StatusCode == http.StatusOK
}
