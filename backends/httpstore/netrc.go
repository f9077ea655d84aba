package httpstore

import (
	"encoding/base64"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/jdx/go-netrc"

	"github.com/pinfs/pinfs/manifest"
)

// maxNetrc is the largest netrc file that is read, in bytes.
const maxNetrc = 1 << 20

// netrcFile is a file of logins; path "" is none. One that may be missing is also
// passed over when it can't be read.
type netrcFile struct {
	path     string
	optional bool

	mu    sync.Mutex
	hosts *netrc.Netrc // guarded by mu; nil when there is none
}

// findNetrc gives the file that Options or the environment name, and reads it.
func findNetrc(named string) (*netrcFile, error) {
	f := &netrcFile{path: named}
	if named == "" {
		f.path = os.Getenv("NETRC")
	}
	if f.path == "" {
		f.optional = true
		if home, err := os.UserHomeDir(); err == nil {
			f.path = filepath.Join(home, ".netrc")
		}
	}
	if f.path == "-" {
		f.path = ""
	}
	return f, f.read()
}

// read reads the file again.
func (f *netrcFile) read() error {
	if f.path == "" {
		return nil
	}
	hosts, err := parseNetrc(f.path)
	if err != nil && f.optional {
		return nil
	}
	if err != nil {
		return &manifest.Error{Kind: manifest.KindInvalid, Op: "read netrc", Ref: f.path, Err: err, Hint: "check the variable NETRC"}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.hosts = hosts
	return nil
}

// parseNetrc reads the file itself: the library would run gpg for some names. Its
// parser panics where a file ends too early. No error tells what is in the file.
func parseNetrc(path string) (hosts *netrc.Netrc, err error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, errors.Unwrap(err) // without the path
	}
	defer file.Close() //nolint:errcheck // only read
	if fi, err := file.Stat(); err != nil || !fi.Mode().IsRegular() {
		return nil, errors.New("it is no file")
	}
	text, err := io.ReadAll(io.LimitReader(file, maxNetrc+1))
	if err != nil || len(text) > maxNetrc {
		return nil, errors.New("it can't be read, or is over 1 MiB")
	}
	defer func() {
		if recover() != nil {
			hosts, err = nil, errors.New("it is not in netrc's format")
		}
	}()
	return netrc.ParseString(string(text))
}

// login gives the Authorization header for a host.
func (f *netrcFile) login(host string) (string, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.hosts == nil {
		return "", false
	}
	var found *netrc.Machine
	for _, m := range f.hosts.Machines() {
		if strings.EqualFold(m.Name, host) && !m.IsDefault {
			found = m
			break
		}
		if m.IsDefault && found == nil {
			found = m
		}
	}
	if found == nil || found.Get("password") == "" {
		return "", false
	}
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(found.Get("login")+":"+found.Get("password"))), true
}

// renewed reads the file again and tells whether host's login is another one now.
func (f *netrcFile) renewed(host string) bool {
	before, _ := f.login(host)
	if f.read() != nil {
		return false
	}
	after, ok := f.login(host)
	return ok && after != before
}
