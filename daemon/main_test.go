package daemon_test

import (
	"context"
	"os"
	"os/signal"
	"syscall"
	"testing"

	"go.uber.org/goleak"

	"github.com/pinfs/pinfs/backends/filestore"
	"github.com/pinfs/pinfs/cache"
	"github.com/pinfs/pinfs/daemon"
	"github.com/pinfs/pinfs/fusefs/lister"
	"github.com/pinfs/pinfs/testwarden"
)

// listRole is the argument with which this binary is a lister's process.
const listRole = "list-ahead"

// TestMain is also the daemon that Start starts: it runs this binary.
func TestMain(m *testing.M) {
	if len(os.Args) == 2 && os.Args[1] == listRole {
		if lister.Serve(os.Stdin, os.Stdout) != nil {
			os.Exit(1)
		}
		os.Exit(0)
	}
	if len(os.Args) == 3 && os.Args[1] == "test-daemon" {
		os.Exit(serve(os.Args[2]))
	}
	testwarden.Main()
	goleak.VerifyTestMain(m)
}

// serve is a daemon in the background as the command has it.
func serve(dir string) int {
	ready := os.NewFile(daemon.ReadyFD, "ready")
	syscall.CloseOnExec(daemon.ReadyFD)
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	d, err := daemon.New(daemon.Options{Cache: cache.Options{Dir: dir, Size: 64 << 20}, Backend: filestore.New(), OpenRegistry: openRegistry,
		ListAhead: []string{"pinfs-test", listRole}})
	if told := daemon.Ready(ready, err); err != nil || told != nil {
		return 1
	}
	d.Run(ctx)
	if d.Close(context.Background()) != nil {
		return 1
	}
	return 0
}
