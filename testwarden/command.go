package testwarden

import (
	"context"
	"os/exec"
	"syscall"
	"time"
)

// outputWait is for output that a command's own children keep open.
const outputWait = 5 * time.Second

// Command is exec.CommandContext for tests: it runs in a process group of its own,
// which is killed as a whole when ctx is done. It is not tied to the life of a
// thread, as by Pdeathsig: Go ends threads when it likes. When the test binary
// dies, the warden kills it.
func Command(ctx context.Context, name string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = outputWait
	return cmd
}
