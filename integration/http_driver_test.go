package integration_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/pinfs/pinfs/integration/servers"
)

// webHost is a host with one file at every place of nginx, recorded in one version.
type webHost struct {
	*host
	nginx *servers.Nginx
	name  string            // of the file
	refs  map[string]string // path in the version → URL
}

// pinnedPlaces are those whose answers pin what they give.
func pinnedPlaces() map[string]string {
	return map[string]string{
		"etag": servers.HTTPPlain, "time": servers.HTTPNoETag, "whole": servers.HTTPNoRange, "no-head": servers.HTTPNoHead,
		"gzip": servers.HTTPGzip, "login": servers.HTTPAuth, "redirected": servers.HTTPRedirect, "moved": servers.HTTPMoved,
	}
}

func newWebHost(t *testing.T, file string, data []byte) *webHost {
	t.Helper()
	w := &webHost{host: newHost(t), nginx: shared.nginx.Get(t), name: file, refs: map[string]string{}}
	write(t, filepath.Join(w.dir, ".netrc"), "machine 127.0.0.1 login "+servers.HTTPUser+" password "+servers.HTTPPassword+"\n")
	w.nginx.Put(t, file, data, time.Now().Add(-time.Hour))
	args := []string{}
	for path, place := range pinnedPlaces() {
		w.refs[path] = w.nginx.URL(place, file)
		args = append(args, path+"="+w.refs[path])
	}
	w.put("web/all", args...)
	return w
}

// TestHTTPMount: whatever a server can and can't do, the recorded bytes are read.
func TestHTTPMount(t *testing.T) {
	data := randomBytes(3<<20+77, 40)
	w := newWebHost(t, "mount/a file, 100% [odd].bin", data)
	mnt := w.mount("web/all:v0")
	for path := range w.refs {
		if got := read(t, filepath.Join(mnt, path)); !bytes.Equal(got, data) {
			t.Errorf("%s: %d wrong bytes", path, len(got))
		}
	}
	if again := w.put("web/all", "etag="+w.refs["etag"]); !again.New {
		t.Error("a version of one file is no new version")
	}
	if again := w.put("web/all", "etag="+w.refs["etag"]); again.New {
		t.Error("the same file gives a new version")
	}
}

// TestHTTPOverwritten: what was not read before is ESTALE, and says what was
// expected and what is there.
func TestHTTPOverwritten(t *testing.T) {
	w := newWebHost(t, "overwritten.bin", []byte("the first content"))
	mnt := w.mount("web/all:v0")
	w.nginx.Put(t, w.name, []byte("another content.."), time.Now()) // of the same size
	for path, ref := range w.refs {
		if got, err := os.ReadFile(filepath.Join(mnt, path)); !errors.Is(err, syscall.ESTALE) {
			t.Errorf("%s: %q, %v, want ESTALE", path, got, err)
		}
		w.wantReport(t, ref, "object changed since it was recorded: expected '", "' but found '")
	}
	w.nginx.Delete(t, w.name)
	got := w.run("get", "web/all:v0", "--root", filepath.Join(w.dir, "got"))
	if got.code == 0 || !strings.Contains(got.stderr, "pinned version is gone") {
		t.Errorf("get of deleted files: exit %d: %s", got.code, got.stderr)
	}
}

// wantReport wants an error of ref in the status, with these words.
func (w *webHost) wantReport(t *testing.T, ref string, words ...string) {
	t.Helper()
	for _, e := range w.status().Errors {
		if e.Ref != ref {
			continue
		}
		for _, word := range words {
			if !strings.Contains(e.Message, word) {
				t.Errorf("%q is not in: %s", word, e.Message)
			}
		}
		return
	}
	t.Errorf("the status has no error of %s: %+v", ref, w.status().Errors)
}

// TestHTTPUnpinned: what has neither ETag nor time is recorded and can't be read.
func TestHTTPUnpinned(t *testing.T) {
	h, nginx := newHost(t), shared.nginx.Get(t)
	nginx.Put(t, "unpinned.txt", []byte("data"), time.Time{})
	uri := nginx.URL(servers.HTTPUnpinned, "unpinned.txt")
	if got := h.put("web/unpinned", uri); got.Files != 1 {
		t.Fatalf("got %+v, want one file", got)
	}
	mnt := h.mount("web/unpinned:v0")
	if got, err := os.ReadFile(filepath.Join(mnt, "unpinned.txt")); !errors.Is(err, syscall.ENOTSUP) {
		t.Errorf("got %q, %v, want ENOTSUP", got, err)
	}
}

// TestHTTPRefusals: what can't be recorded is said in one line, without a secret.
func TestHTTPRefusals(t *testing.T) {
	const canary = "CANARY-secret"
	h, nginx := newHost(t), shared.nginx.Get(t)
	nginx.Put(t, "refused.txt", []byte("data"), time.Time{})
	plain := nginx.URL(servers.HTTPPlain, "refused.txt")
	refused := func(code int, uri string, words ...string) {
		t.Helper()
		r := h.run("put", "--name", "web/refused", "--type", "dataset", "x="+uri)
		wantOneLine(t, r, code, words...)
		if strings.Contains(r.stdout+r.stderr, canary) {
			t.Errorf("the secret is in: %s", r.stderr)
		}
	}
	refused(2, strings.Replace(plain, "http://", "http://user:"+canary+"@", 1), "netrc")
	refused(4, nginx.URL(servers.HTTPPlain, "nothing.txt"), "404")
	refused(4, nginx.URL(servers.HTTPAuth, "refused.txt"), "401", "netrc")
	refused(4, nginx.URL(servers.HTTPLoop, "x"), "redirects more than 10 times")
	refused(4, nginx.RedirectTo("http://169.254.169.254/x"), "link-local")
	refused(2, nginx.URL(servers.HTTPPlain, "refused.txt")+"%", "percent")
}
