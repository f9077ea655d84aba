package registry_test

import (
	"os"
	"testing"

	"go.uber.org/goleak"

	"github.com/pinfs/pinfs/registry/storetest"
	"github.com/pinfs/pinfs/testwarden"
)

func TestMain(m *testing.M) {
	storetest.Main(openDir)
	if role := os.Getenv(roleEnv); role != "" {
		os.Exit(play(role))
	}
	testwarden.Main()
	goleak.VerifyTestMain(m)
}
