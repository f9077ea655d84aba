package integration_test

import (
	"context"
	"crypto/md5"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
)

// entry is one of a W&B manifest.
type entry struct {
	Digest string         `json:"digest"`
	Ref    string         `json:"ref"`
	Size   *int64         `json:"size,omitempty"`
	Extra  map[string]any `json:"extra,omitempty"`
}

// fileEntry names a file with its true digest, or that of "data" for what can't be
// read like one.
func fileEntry(path string) entry {
	data := []byte("data")
	if fi, err := os.Stat(path); err == nil && fi.Mode().IsRegular() {
		if content, err := os.ReadFile(path); err == nil && len(content) > 0 {
			data = content
		}
	}
	sum := md5.Sum(data)
	return entry{Digest: base64.StdEncoding.EncodeToString(sum[:]), Ref: "file://" + path}
}

func webEntry(url string) entry {
	return entry{Digest: "e", Ref: url, Extra: map[string]any{"etag": `"e"`}}
}

// importEntries makes a version of entries, as if somebody else had written it.
func (h *host) importEntries(name string, entries map[string]entry) {
	h.t.Helper()
	text, err := json.Marshal(map[string]any{"version": 1, "storagePolicy": "wandb-storage-policy-v1",
		"storagePolicyConfig": map[string]any{"storageLayout": "V2"}, "contents": entries})
	if err != nil {
		h.t.Fatal(err)
	}
	path := filepath.Join(h.t.TempDir(), "manifest.json")
	write(h.t, path, string(text))
	h.must("import", "--name", name, "--type", "dataset", path)
}

// hostile is a manifest that wants what it should not have, and the good files in it.
type hostile struct {
	*host
	top     string
	entries map[string]entry
	far     *httptest.Server // counts what it is asked
	asked   *atomic.Int64
}

func newHostile(t *testing.T) *hostile {
	t.Helper()
	h := &hostile{host: newHost(t), top: t.TempDir(), entries: map[string]entry{}, asked: &atomic.Int64{}}
	h.far = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		h.asked.Add(1)
		w.Header().Set("ETag", `"e"`)
		_, _ = w.Write([]byte("far"))
	}))
	t.Cleanup(h.far.Close)
	near := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if to := r.URL.Query().Get("to"); to != "" {
			http.Redirect(w, r, to, http.StatusFound)
			return
		}
		w.Header().Set("ETag", `"e"`)
		_, _ = w.Write([]byte("web"))
	}))
	t.Cleanup(near.Close)
	write(t, filepath.Join(h.top, "root", "good"), "good")
	write(t, filepath.Join(h.top, "secret"), "secret")
	write(t, filepath.Join(h.dir, ".ssh", "id"), "key") // HOME is h.dir
	write(t, filepath.Join(h.dir, "cache", "own"), "own")
	for from, to := range map[string]string{"escape": "../secret", "passwd": "/etc/passwd", "environ": "/proc/self/environ", "zero": "/dev/zero", "home": filepath.Join(h.dir, ".ssh", "id")} {
		if err := os.Symlink(to, filepath.Join(h.top, "root", from)); err != nil {
			t.Fatal(err)
		}
	}
	if err := syscall.Mkfifo(filepath.Join(h.top, "root", "fifo"), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"/etc/shadow", "/etc/passwd", "/proc/self/environ", "/dev/zero", filepath.Join(h.dir, ".ssh", "id"), filepath.Join(h.dir, "cache", "own"),
		"/tmp/../etc/passwd", h.top + "/root/passwd", h.top + "/root/environ", h.top + "/root/zero", h.top + "/root/home"} {
		h.entries["bad/file"+strings.NewReplacer("/", "_", ".", "_").Replace(path)] = fileEntry(path)
	}
	for name, url := range map[string]string{
		"metadata": "http://169.254.169.254/latest/meta-data/", "decimal": "http://2852039166/latest", "mapped": "http://[::ffff:169.254.169.254]/latest",
		"named": "http://metadata.google.internal/computeMetadata/v1/", "any": "http://0.0.0.0:" + near.URL[strings.LastIndex(near.URL, ":")+1:] + "/x",
		"redirect": near.URL + "/?to=http://169.254.169.254/latest", "twice": near.URL + "/?to=" + near.URL + "/%3Fto=http://metadata.goog/x",
		"scheme": near.URL + "/?to=file:///etc/passwd",
	} {
		h.entries["bad/web_"+name] = webEntry(url)
	}
	for name, ref := range map[string]string{
		"dir": "file:///etc", "passwd": "file:///etc/passwd", "environ": "file:///proc/self/environ", "link": "file://" + h.top + "/root/environ",
		"metadata": "http://169.254.169.254/latest/user-data", "redirect": near.URL + "/?to=http://169.254.169.254/latest/user-data",
	} {
		h.entries["bad/unpinned_"+name] = entry{Digest: ref, Ref: ref}
	}
	h.entries["good/file"] = fileEntry(h.top + "/root/good")
	h.entries["good/escape"] = fileEntry(h.top + "/root/escape")
	h.entries["good/web"] = webEntry(near.URL + "/x")
	h.entries["good/far"] = webEntry(near.URL + "/?to=" + h.far.URL + "/x")
	h.entries["fifo"] = fileEntry(h.top + "/root/fifo")
	return h
}

// wantErrno reads a file, which must fail in that way.
func wantErrno(t *testing.T, path string, want error) {
	t.Helper()
	if got, err := os.ReadFile(path); !errors.Is(err, want) {
		t.Errorf("%s: got %d bytes, %v, want %v", path, len(got), err, want)
	}
}

func wantReads(t *testing.T, path, want string) {
	t.Helper()
	if got, err := os.ReadFile(path); err != nil || string(got) != want {
		t.Errorf("%s: got %q, %v, want %q", path, got, err, want)
	}
}

// TestHostileManifest: what a manifest from elsewhere should not have is EACCES, the
// status says why and what would allow it, the log says so once. The rest is read.
func TestHostileManifest(t *testing.T) {
	h := newHostile(t)
	h.importEntries("p/hostile", h.entries)
	mnt := h.mount("p/hostile:v0")
	bad := 0
	for path, e := range h.entries {
		if !strings.HasPrefix(path, "bad/") {
			continue
		}
		bad++
		wantErrno(t, filepath.Join(mnt, path), syscall.EACCES)
		wantErrno(t, filepath.Join(mnt, path), syscall.EACCES)
		h.wantTold(path, e.Ref)
	}
	wantReads(t, filepath.Join(mnt, "good/file"), "good")
	wantReads(t, filepath.Join(mnt, "good/escape"), "secret") // no place that is refused by default
	wantReads(t, filepath.Join(mnt, "good/web"), "web")
	wantReads(t, filepath.Join(mnt, "good/far"), "far")
	wantErrno(t, filepath.Join(mnt, "fifo"), syscall.ESTALE)
	if bad < 20 {
		t.Errorf("only %d files were tried", bad)
	}
	out := h.must("status")
	if !strings.Contains(out, "--allow file:///etc/shadow") || !strings.Contains(out, "--allow http://169.254.169.254/") {
		t.Errorf("status says %s, want what would allow it", out)
	}
}

// wantTold wants one line in the log for a refused file, and its story in the status.
func (h *hostile) wantTold(path, ref string) {
	h.t.Helper()
	told := false
	for _, e := range h.status().Errors {
		told = told || strings.HasSuffix(e.Path, "/"+path) && e.Errno == "EACCES" && e.Message != ""
	}
	if !told {
		h.t.Errorf("%s: the status does not tell of %s", path, ref)
	}
	log := string(read(h.t, filepath.Join(h.dir, "cache", "daemon.log")))
	lines := 0
	for line := range strings.Lines(log) {
		if strings.Contains(line, path+" errno=") || strings.Contains(line, path+"\" errno=") {
			lines++
		}
	}
	if lines != 1 {
		h.t.Errorf("%s: %d lines in the log, want one:\n%s", path, lines, tail(log, 2000))
	}
}

// TestHostileCommands: get, verify and warm keep the same rules.
func TestHostileCommands(t *testing.T) {
	h := newHostile(t)
	h.importEntries("p/hostile", h.entries)
	root := filepath.Join(t.TempDir(), "got")
	r := h.run("get", "p/hostile", "--root", root)
	if r.code != 6 || !strings.Contains(r.stderr, "--allow file:///etc/shadow") {
		t.Errorf("get: exit %d: %s", r.code, r.stderr)
	}
	wantReads(t, filepath.Join(root, "good/file"), "good")
	if left, _ := filepath.Glob(filepath.Join(root, "bad", "*")); len(left) > 0 {
		t.Errorf("get left %v", left)
	}
	for _, args := range [][]string{{"verify", "p/hostile"}, {"verify", "p/hostile", "--read"}, {"warm", "p/hostile"}} {
		if r := h.run(args...); r.code != 6 || !strings.Contains(r.stdout+r.stderr, "--allow file:///etc/shadow") {
			t.Errorf("%s: exit %d: %s%s", args[0], r.code, r.stdout, r.stderr)
		}
	}
}

// TestAllowed: with --allow that is read which it names, and nothing else of its source.
func TestAllowed(t *testing.T) {
	h := newHostile(t)
	h.importEntries("p/hostile", h.entries)
	near := h.entries["good/web"].Ref
	near = near[:strings.LastIndex(near, "/")+1]
	mnt := h.mount("p/hostile:v0", "--allow", "file:///etc/passwd", "--allow", "file://"+h.top+"/root/", "--allow", near)
	passwd := string(read(t, "/etc/passwd"))
	for path, e := range h.entries {
		switch {
		case e.Ref == "file:///etc/passwd", e.Ref == "file://"+h.top+"/root/passwd", e.Ref == "file:///tmp/../etc/passwd":
			wantReads(t, filepath.Join(mnt, path), passwd)
		case strings.HasPrefix(path, "bad/"):
			wantErrno(t, filepath.Join(mnt, path), syscall.EACCES)
		}
	}
	wantReads(t, filepath.Join(mnt, "good/file"), "good")
	wantReads(t, filepath.Join(mnt, "good/web"), "web")
	wantErrno(t, filepath.Join(mnt, "good/escape"), syscall.EACCES)
	wantErrno(t, filepath.Join(mnt, "good/far"), syscall.EACCES)
	if n := h.asked.Load(); n != 0 {
		t.Errorf("what was not allowed was asked %d times", n)
	}
	other := t.TempDir()
	r := h.run("mount", "p/hostile:v0", other, "--allow", "file:///")
	wantOneLine(t, r, 1, "allow") // another daemon's rules
	wider := h.cacheAt("other").with("PINFS_ALLOW=file:///etc\nfile:///\n")
	wantReads(t, filepath.Join(wider.mount("p/hostile:v0"), "good/escape"), "secret")
}

// TestOwnWord: put records what its user names, and tells when it will not be read.
func TestOwnWord(t *testing.T) {
	h := newHost(t)
	r := h.run("put", "--name", "p/own", "--type", "t", "/etc/passwd")
	if r.code != 0 || !strings.Contains(r.stderr, "--allow file:///etc/passwd") {
		t.Errorf("put: exit %d, %q, want a warning", r.code, r.stderr)
	}
	wantErrno(t, filepath.Join(h.mount("p/own:v0"), "passwd"), syscall.EACCES)
	if r := h.run("put", "--name", "p/copy", "--type", "t", "--copy", "/etc/passwd"); r.code != 0 || r.stderr != "" {
		t.Errorf("put --copy: exit %d, %q, want no warning", r.code, r.stderr)
	}
	wantReads(t, filepath.Join(h.cacheAt("other").mount("p/copy:v0"), "passwd"), string(read(t, "/etc/passwd")))
	wantOneLine(t, h.run("put", "--name", "p/x", "--type", "t", "http://169.254.169.254/x"), 4, "link-local", "--allow http://169.254.169.254/")
	wantOneLine(t, h.run("ls", "--allow", "data"), 2, "data", "file:///DIR/")
}

// TestMountOfItself: references to files of the mount itself, and of another one that
// points back, are refused at once; nobody waits for himself.
func TestMountOfItself(t *testing.T) {
	h := newHost(t)
	one, two := filepath.Join(t.TempDir(), "mnt"), filepath.Join(t.TempDir(), "mnt")
	loop := func(dir string) map[string]entry {
		return map[string]entry{"self": fileEntry(dir + "/self"), "there": fileEntry(dir + "/back"), "back": fileEntry(dir + "/there")}
	}
	h.importEntries("p/one", loop(two))
	h.importEntries("p/two", loop(one))
	other := h.cacheAt("other")
	for _, m := range []struct {
		h        *host
		ref, dir string
	}{{h, "p/one:v0", one}, {other, "p/two:v0", two}} {
		if err := os.Mkdir(m.dir, 0o755); err != nil {
			t.Fatal(err)
		}
		m.h.must("mount", m.ref, m.dir)
		t.Cleanup(func() { m.h.must("umount", m.dir) })
	}
	for _, dir := range []string{one, two} {
		for _, name := range []string{"self", "there", "back"} {
			wantErrno(t, filepath.Join(dir, name), syscall.EACCES)
		}
	}
	if out := h.must("status"); !strings.Contains(out, "a mount of pinfs") {
		t.Errorf("status says %s", out)
	}
}

// TestHugeSizes: a manifest and its server may agree on any size; the daemon lives on.
func TestHugeSizes(t *testing.T) {
	h := newHost(t)
	huge := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		size := map[string]int64{"/most": math.MaxInt64, "/half": 1 << 62}[r.URL.Path]
		first, last := int64(0), size-1
		w.Header().Set("ETag", `"e"`)
		status := http.StatusOK
		if n, _ := fmt.Sscanf(r.Header.Get("Range"), "bytes=%d-%d", &first, &last); n > 0 {
			status = http.StatusPartialContent
			w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", first, last, size))
		}
		w.Header().Set("Content-Length", fmt.Sprint(last-first+1))
		w.WriteHeader(status)
		if r.Method == http.MethodGet {
			_, _ = io.Copy(w, io.LimitReader(zeros{}, last-first+1)) // until the client leaves
		}
	}))
	t.Cleanup(huge.Close)
	most, half := int64(math.MaxInt64), int64(1)<<62
	good := filepath.Join(t.TempDir(), "good")
	write(t, good, "good")
	sized := func(path string, size *int64) entry {
		e := webEntry(huge.URL + path)
		e.Size = size
		return e
	}
	h.importEntries("p/huge", map[string]entry{"most": sized("/most", &most), "half": sized("/half", &half), "asked": sized("/half", nil), "good": fileEntry(good)})
	mnt := h.mount("p/huge:v0")
	for _, name := range []string{"most", "half", "asked"} {
		wantStart(t, filepath.Join(mnt, name), syscall.EIO)
	}
	for _, name := range []string{"most", "half", "asked"} {
		if r := h.run("warm", "p/huge", "--path-prefix", name); r.code == 0 {
			t.Errorf("%s was warmed", name)
		}
	}
	wantReads(t, filepath.Join(mnt, "good"), "good")
	if n := len(h.status().Mounts); n != 1 {
		t.Errorf("the daemon has %d mounts, want 1", n)
	}
}

// wantStart reads the first bytes of a file, which must fail in that way.
func wantStart(t *testing.T, path string, want error) {
	t.Helper()
	f, err := os.Open(path)
	if err == nil {
		defer f.Close()
		_, err = f.Read(make([]byte, 10))
	}
	if !errors.Is(err, want) {
		t.Errorf("%s: got %v, want %v", path, err, want)
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

// TestHugeManifests: a manifest of any size and shape is taken or refused, in the
// memory of a small one.
func TestHugeManifests(t *testing.T) {
	h := newHost(t).with("GOMEMLIMIT=off", "PINFS_LOG_LEVEL=error")
	head := `{"version":1,"storagePolicy":"p","storagePolicyConfig":{},`
	for name, c := range map[string]struct {
		head, repeat string
		times        int
		tail, word   string
	}{
		"brackets":        {head + `"contents":{"a":{"digest":"d","extra":`, `[`, 40 << 20, "", "more than 1048576 bytes"},
		"unknown tree":    {head + `"x":`, `{"y":[`, 8 << 20, "", "more than 64 levels"},
		"a long string":   {head + `"contents":{"a":{"digest":"`, "x", 64 << 20, "", "more than 1048576 bytes"},
		"a long key":      {`{"`, "x", 64 << 20, "", "more than 1048576 bytes"},
		"a long path":     {head + `"contents":{"`, "x/", 2 << 20, "", "more than 1048576 bytes"},
		"space":           {head + `"contents":{"a":`, " ", 64 << 20, "", "ends early"},
		"the same again":  {head + `"contents":{"x":{"digest":"d"}`, `,"a":{"digest":"d"}`, 1 << 20, "}}", "twice"},
		"unknown strings": {head + `"x":[""`, `,"0123456789"`, 4 << 20, "", "ends early"},
	} {
		t.Run(name, func(t *testing.T) {
			r, peak := h.importing(&repeated{head: c.head, text: c.repeat, left: c.times, tail: c.tail})
			wantOneLine(t, r, 2, c.word)
			if peak == 0 || peak > 300<<10 {
				t.Errorf("it took %d KiB of memory, want 300 MiB at most", peak)
			}
		})
	}
}

// importing gives `pinfs import -` a text. peak is the most memory, in KiB, that it had
// while it read.
func (h *host) importing(text *repeated) (r result, peak int64) {
	h.t.Helper()
	ctx, cancel := context.WithTimeout(h.t.Context(), commandDeadline)
	defer cancel()
	cmd := h.command(ctx, "import", "--name", "p/huge", "--type", "t", "-")
	text.each = func() {
		status, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", cmd.Process.Pid))
		_, line, _ := strings.Cut(string(status), "VmHWM:")
		if fields := strings.Fields(line); len(fields) > 0 {
			n, _ := strconv.ParseInt(fields[0], 10, 64)
			peak = max(peak, n)
		}
	}
	var out, errs strings.Builder
	cmd.Stdin, cmd.Stdout, cmd.Stderr = text, &out, &errs
	_ = cmd.Run()
	return result{out.String(), errs.String(), cmd.ProcessState.ExitCode()}, peak
}

// repeated reads as head, text so many times, and tail.
type repeated struct {
	head, text string
	left       int
	tail       string
	each       func() // called before each piece
}

func (r *repeated) Read(p []byte) (int, error) {
	r.each()
	if r.head == "" && r.left > 0 {
		times := min(r.left, 1+(64<<10)/len(r.text))
		r.head, r.left = strings.Repeat(r.text, times), r.left-times
	}
	if r.head == "" {
		r.head, r.tail = r.tail, ""
	}
	if r.head == "" {
		return 0, io.EOF
	}
	n := copy(p, r.head)
	r.head = r.head[n:]
	return n, nil
}
