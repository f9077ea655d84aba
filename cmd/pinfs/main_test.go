package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/pinfs/pinfs/testwarden"
)

func TestMain(m *testing.M) {
	if name := filepath.Base(os.Args[0]); name != "pinfs" && name != helperName { // which are what scripts run
		testwarden.Main()
	}
	testscript.Main(m, map[string]func(){"pinfs": main, helperName: main, "xattr": xattr})
}

// TestScripts runs the command as a shell would. See the scripts for what it
// promises; commands_test.go for the words that they have besides testscript's.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup:               setup,
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exitcode":  exitcode,
			"json":      jsonValue,
			"mounted":   mounted,
			"errorline": errorline,
			"signal":    signalProcess,
			"ended":     ended,
			"arguments": arguments,
			"webserver": webserver,
		},
	})
}
