package fdstore_test

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"github.com/pinfs/pinfs/daemon/fdstore"
	"github.com/pinfs/pinfs/testwarden"
)

// openRole is the argument with which this binary tells what Open gave it.
const openRole = "open"

func TestMain(m *testing.M) {
	if len(os.Args) == 2 && os.Args[1] == openRole {
		os.Exit(tellOpen())
	}
	testwarden.Main()
	goleak.VerifyTestMain(m)
}

// opened is what a process found.
type opened struct {
	Store bool
	Kept  map[string][]string // contents by name
	Left  []string            // variables that children would see
	Loose int                 // of what is kept, how much children would get
	Error string
}

func tellOpen() int {
	var o opened
	s, kept, err := fdstore.Open()
	o.Store, o.Kept = s != nil, map[string][]string{}
	if err != nil {
		o.Error = err.Error()
	}
	for name, files := range kept {
		for _, f := range files {
			if flags, err := unix.FcntlInt(f.Fd(), unix.F_GETFD, 0); err != nil || flags&unix.FD_CLOEXEC == 0 {
				o.Loose++
			}
			text, err := io.ReadAll(io.NewSectionReader(f, 0, 100))
			if err != nil {
				text = []byte(err.Error())
			}
			o.Kept[name] = append(o.Kept[name], string(text))
		}
	}
	for _, v := range os.Environ() {
		if strings.HasPrefix(v, "LISTEN_") || strings.HasPrefix(v, "NOTIFY_") || strings.HasPrefix(v, "WATCHDOG_") {
			o.Left = append(o.Left, v)
		}
	}
	if err := json.NewEncoder(os.Stdout).Encode(o); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

func ok(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
