package share

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"syscall"
	"time"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
)

// Type is the mount's type, as /proc/self/mountinfo has it.
const Type = "fuse.pinfs-share"

const (
	environment     = "PINFS_TEST_SHARE"
	unmountDeadline = 5 * time.Second
)

// Config says what a process serves.
type Config struct {
	Dir     string // what is shared
	Mount   string // the mount point
	Control string // address, host:port, for its orders
}

// Command gives the command, an unstarted one, that serves c. Its program is this
// one, whose TestMain has to call Serve when Asked.
func Command(c Config) (*exec.Cmd, error) {
	program, err := os.Executable()
	if err != nil {
		return nil, err
	}
	order, err := json.Marshal(c)
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(program, "-test.run=^$") // a TestMain that doesn't ask runs nothing
	cmd.Env = append(os.Environ(), environment+"="+string(order))
	return cmd, nil
}

// Asked says whether this process was started to serve a share.
func Asked() bool { return os.Getenv(environment) != "" }

// Serve serves the share that this process was started for until TERM.
func Serve() error {
	var c Config
	if err := json.Unmarshal([]byte(os.Getenv(environment)), &c); err != nil {
		return err
	}
	term := make(chan os.Signal, 1)
	signal.Notify(term, syscall.SIGTERM)
	r := newRules()
	server, err := mount(c, r)
	if err != nil {
		return fmt.Errorf("mount %s: %w", c.Mount, err)
	}
	control := &http.Server{Addr: c.Control, Handler: handler(r), ReadHeaderTimeout: time.Minute}
	l, err := net.Listen("tcp", c.Control)
	if err != nil {
		return errors.Join(err, Detach(context.Background(), c.Mount))
	}
	go func() { _ = control.Serve(l) }() // until the process ends
	<-term
	r.set(nil)
	ctx, cancel := context.WithTimeout(context.Background(), unmountDeadline)
	defer cancel()
	err = Detach(ctx, c.Mount)
	served := make(chan struct{})
	go func() { server.Wait(); close(served) }()
	select {
	case <-served:
	case <-ctx.Done(): // somebody still has a file open: the end of the process ends it
	}
	return err
}

func mount(c Config, r *rules) (*fuse.Server, error) {
	root, err := newRoot(c.Dir, r)
	if err != nil {
		return nil, err
	}
	never := time.Duration(0)
	return fs.Mount(c.Mount, root, &fs.Options{
		EntryTimeout: &never, AttrTimeout: &never, NegativeTimeout: &never,
		MountOptions: fuse.MountOptions{
			FsName: fmt.Sprintf("pid-%d", os.Getpid()), Name: "pinfs-share",
			DirectMount: os.Geteuid() == 0, AllowOther: os.Geteuid() == 0, Options: []string{"ro"},
		},
	})
}

func handler(r *rules) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /ready", func(http.ResponseWriter, *http.Request) {})
	mux.HandleFunc("GET /state", func(w http.ResponseWriter, _ *http.Request) { _ = json.NewEncoder(w).Encode(r.snapshot()) })
	mux.HandleFunc("PUT /rules", func(w http.ResponseWriter, req *http.Request) {
		var list []*Rule
		if err := json.NewDecoder(req.Body).Decode(&list); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		r.set(list)
	})
	return mux
}
