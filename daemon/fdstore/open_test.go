package fdstore_test

import (
	"encoding/json"
	"os"
	"reflect"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/pinfs/pinfs/testwarden"
)

// memory makes a file without a name that holds text.
func memory(t testing.TB, text string) *os.File {
	t.Helper()
	fd, err := unix.MemfdCreate("kept", unix.MFD_CLOEXEC)
	ok(t, err)
	f := os.NewFile(uintptr(fd), text)
	t.Cleanup(func() { f.Close() })
	_, err = f.WriteString(text)
	ok(t, err)
	return f
}

// open starts a process that opens the store, with variables and descriptors. In
// them $$ is its own id.
func open(t *testing.T, env []string, files ...*os.File) (o opened) {
	t.Helper()
	script := strings.Join(env, " ") + ` exec "$0" ` + openRole
	cmd := testwarden.Command(t.Context(), "/bin/sh", "-c", script, "/proc/self/exe")
	exe, err := os.Executable()
	ok(t, err)
	cmd.Args[3] = exe
	cmd.ExtraFiles, cmd.Stderr = files, os.Stderr
	cmd.Env = append(os.Environ(), "GORACE=atexit_sleep_ms=0")
	out, err := cmd.Output()
	ok(t, err)
	ok(t, json.Unmarshal(out, &o))
	return o
}

func TestOpenTakesWhatIsKept(t *testing.T) {
	k := listen(t, socketPath(t))
	files := []*os.File{memory(t, "one"), memory(t, "two"), memory(t, "three")}
	names := "LISTEN_FDNAMES=a:b:a"
	all := map[string][]string{"a": {"one", "three"}, "b": {"two"}}
	for _, c := range []struct {
		what  string
		env   []string
		store bool
		kept  map[string][]string
	}{
		{"systemd", []string{"NOTIFY_SOCKET=" + k.addr, "LISTEN_FDS=3", names, "LISTEN_PID=$$", "WATCHDOG_USEC=1000000", "WATCHDOG_PID=$$"}, true, all},
		{"an owner", []string{"NOTIFY_SOCKET=" + k.addr, "LISTEN_FDS=3", names}, true, all},
		{"nothing kept yet", []string{"NOTIFY_SOCKET=" + k.addr}, true, nil},
		{"nobody keeps", []string{"LISTEN_FDS=3", names}, false, all},
		{"nobody keeps, nothing is kept", nil, false, nil},
		{"for somebody else", []string{"NOTIFY_SOCKET=" + k.addr, "LISTEN_FDS=3", names, "LISTEN_PID=1"}, true, nil},
	} {
		t.Run(c.what, func(t *testing.T) {
			o := open(t, c.env, files...)
			if c.kept == nil {
				c.kept = map[string][]string{}
			}
			if o.Error != "" || o.Store != c.store || !reflect.DeepEqual(o.Kept, c.kept) {
				t.Errorf("got %+v, want store %v and %v", o, c.store, c.kept)
			}
			if len(o.Left) > 0 || o.Loose > 0 {
				t.Errorf("children would see %q and get %d descriptors", o.Left, o.Loose)
			}
		})
	}
}

func TestOpenRefusesNonsense(t *testing.T) {
	for env, word := range map[string]string{
		"LISTEN_FDS=x":                                   "LISTEN_FDS: not a number of descriptors: x",
		"LISTEN_FDS=-1":                                  "not a number of descriptors: -1",
		"LISTEN_FDS=1000000000":                          "not a number of descriptors: 1000000000",
		"LISTEN_FDS=50":                                  "LISTEN_FDS says it is there: bad file descriptor",
		"NOTIFY_SOCKET=vsock:2:1":                        "neither a path nor an abstract socket: vsock:2:1",
		"NOTIFY_SOCKET=/nowhere/at/all":                  "whoever keeps descriptors can't be reached",
		"NOTIFY_SOCKET=@pinfs-test-nobody":               "whoever keeps descriptors can't be reached",
		"NOTIFY_SOCKET=@pinfs-test-nobody LISTEN_FDS=1":  "whoever keeps descriptors can't be reached",
		"WATCHDOG_USEC=often":                            "WATCHDOG_USEC",
		"NOTIFY_SOCKET=/" + strings.Repeat("long/", 100): "whoever keeps descriptors can't be reached",
	} {
		o := open(t, []string{env}, memory(t, "one"))
		if o.Store || len(o.Kept) > 0 || !strings.Contains(o.Error, word) {
			t.Errorf("%s: got %+v, want %q", env, o, word)
		}
		if len(o.Left) > 0 {
			t.Errorf("%s: children would see %q", env, o.Left)
		}
	}
}
