package fusefs_test

import (
	"os"
	"testing"

	"go.uber.org/goleak"

	"github.com/pinfs/pinfs/testwarden"
)

// TestMain also is the child process that some tests start of themselves.
func TestMain(m *testing.M) {
	if role := os.Getenv("FUSEFS_TEST_ROLE"); role != "" {
		os.Exit(child(role))
	}
	testwarden.Main()
	goleak.VerifyTestMain(m)
}
