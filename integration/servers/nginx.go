package servers

import (
	_ "embed" // the configuration
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

//go:embed nginx.conf
var nginxConf string

// nginxProgram is where Debian puts it, which no user's PATH has.
const nginxProgram = "/usr/sbin/nginx"

// The places of an Nginx where the same files are served, each in its way.
const (
	HTTPPlain    = "/"         // ETag, Last-Modified, ranges
	HTTPNoETag   = "/noetag/"  // Last-Modified alone
	HTTPUnpinned = "/nopin/"   // neither: nothing to tell two contents apart
	HTTPNoRange  = "/norange/" // a range is answered with all of the file
	HTTPNoHead   = "/nohead/"  // HEAD is 405
	HTTPGzip     = "/gz/"      // weak ETag and no ranges, for who accepts gzip
	HTTPSlow     = "/slow/"    // 1 MiB/s for each connection
	HTTPAuth     = "/auth/"    // wants HTTPUser and HTTPPassword
	HTTPRedirect = "/redir/"   // 302 to the same file at HTTPPlain
	HTTPMoved    = "/moved/"   // 301 to the same
	HTTPLoop     = "/loop/"    // 302 to itself

	HTTPUser     = "user"
	HTTPPassword = "pass"
)

// Nginx is a running nginx that serves the files of one directory. All methods
// but Stop, Kill and Restart may be called from many goroutines at once.
type Nginx struct {
	Endpoint string // http://127.0.0.1:port
	Root     string // the directory

	*program
}

// StartNginx starts a server for one test and ends it with the test.
func StartNginx(t testing.TB) *Nginx {
	t.Helper()
	return forTest(t, StartNginxMain)
}

// StartNginxMain starts a server for a whole test binary, from its TestMain. stop
// ends it and removes its files; it must be called before os.Exit.
func StartNginxMain() (s *Nginx, stop func(), err error) { return tried(startNginx) }

func startNginx() (*Nginx, error) {
	if _, err := os.Stat(nginxProgram); err != nil {
		return nil, fmt.Errorf("nginx is missing: run integration/tools.sh install test (%w)", err)
	}
	addr, err := freePort()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "pinfs-nginx-")
	if err != nil {
		return nil, err
	}
	s := &Nginx{Endpoint: "http://" + addr, Root: filepath.Join(dir, "www"), program: &program{dir: dir}}
	s.process = &process{
		name: "nginx", ready: s.Endpoint + "/_ready", logPath: s.path("log"),
		command: func() *exec.Cmd { return s.nginx() },
	}
	if err := s.configure(addr); err != nil {
		s.remove()
		return nil, err
	}
	return s, s.run("www", "tmp")
}

// configure writes the server's files. As root it would serve as nobody, who
// can't read the directory: it stays who we are.
func (s *Nginx) configure(addr string) error {
	me, err := user.Current()
	if err != nil {
		return err
	}
	conf := strings.NewReplacer("@DIR@", s.dir, "@ADDR@", addr, "@USER@", me.Username).Replace(nginxConf)
	if err := os.WriteFile(s.path("nginx.conf"), []byte(conf), 0o600); err != nil {
		return err
	}
	return os.WriteFile(s.path("htpasswd"), []byte(HTTPUser+":{PLAIN}"+HTTPPassword+"\n"), 0o600)
}

// nginx runs in one process, which is our child.
func (s *Nginx) nginx() *exec.Cmd {
	cmd := exec.Command(nginxProgram, "-c", s.path("nginx.conf"), "-p", s.dir, "-e", "stderr")
	cmd.Dir = s.dir
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + s.dir}
	return cmd
}

// URL gives the URL of a file at one of the places.
func (s *Nginx) URL(place, name string) string {
	return s.Endpoint + place + strings.ReplaceAll(url.PathEscape(name), "%2F", "/")
}

// RedirectTo gives a URL that is redirected to target, which has no query.
func (s *Nginx) RedirectTo(target string) string { return s.Endpoint + "/to?" + target }

// Put writes a file, in one step for who reads; it becomes modified at mtime, or
// now when that is zero. nginx's ETag is made of that time and of the size: a
// file of equal size and time keeps it. A name that ends in a slash is a directory.
func (s *Nginx) Put(t testing.TB, name string, data []byte, mtime time.Time) {
	t.Helper()
	if err := s.Write(name, data, mtime); err != nil {
		t.Fatal(err)
	}
}

// Write is Put for other goroutines than a test's.
func (s *Nginx) Write(name string, data []byte, mtime time.Time) error {
	path := filepath.Join(s.Root, filepath.FromSlash(name))
	if strings.HasSuffix(name, "/") {
		return os.MkdirAll(path, 0o700)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	part, err := os.CreateTemp(s.path("tmp"), "part")
	if err != nil {
		return err
	}
	_, err = part.Write(data)
	err = errors.Join(err, part.Close())
	if err == nil && !mtime.IsZero() {
		err = os.Chtimes(part.Name(), mtime, mtime)
	}
	if err == nil {
		err = os.Rename(part.Name(), path)
	}
	return err
}

// Delete removes a file.
func (s *Nginx) Delete(t testing.TB, name string) {
	t.Helper()
	if err := s.Remove(name); err != nil {
		t.Fatal(err)
	}
}

// Remove is Delete for other goroutines than a test's.
func (s *Nginx) Remove(name string) error {
	return os.Remove(filepath.Join(s.Root, filepath.FromSlash(name)))
}
