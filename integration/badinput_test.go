package integration_test

import (
	"encoding/json"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// TestBadInput: each mistake gives one clear line and its exit code, and leaves
// the registry as it was.
func TestBadInput(t *testing.T) {
	h := newHost(t)
	top := t.TempDir()
	write(t, filepath.Join(top, "file"), "content")
	h.put("vision/mnist", top)
	shared.s3.CreateBucket(t, "bad-input", true)
	for i := range 12 {
		shared.s3.Put(t, "bad-input", "many/"+string(rune('a'+i)), []byte("x"))
	}
	nobody := h.with("AWS_ACCESS_KEY_ID=", "AWS_SECRET_ACCESS_KEY=", "AWS_EC2_METADATA_DISABLED=true",
		"AWS_SHARED_CREDENTIALS_FILE=/nonexistent", "AWS_CONFIG_FILE=/nonexistent")
	wrong := h.with("AWS_SECRET_ACCESS_KEY=canary-secret-of-nobody")
	before := registryFiles(t, h)
	put := func(uri string, more ...string) []string {
		return append([]string{"put", "--name", "vision/new", "--type", "dataset", uri}, more...)
	}
	for name, c := range map[string]struct {
		h     *host
		args  []string
		code  int
		words []string
	}{
		"unknown scheme":      {h, put("ftp://host/dir"), 2, []string{"ftp://", "file", "s3"}},
		"no such bucket":      {h, put("s3://no-such-bucket/x"), 4, []string{"no-such-bucket"}},
		"no such prefix":      {h, put("s3://bad-input/nothing"), 4, []string{"s3://bad-input/nothing"}},
		"no such directory":   {h, put("/no/such/dir"), 4, []string{"/no/such/dir"}},
		"no credentials":      {nobody, put("s3://bad-input/many"), 4, []string{"credentials"}},
		"wrong credentials":   {wrong, put("s3://bad-input/many"), 4, []string{"s3://bad-input/many"}},
		"no server":           {h, put("s3://bad-input/many", "--s3-endpoint", "http://127.0.0.1:1"), 4, []string{"s3://bad-input"}},
		"too many objects":    {h, put("s3://bad-input/many", "--max-objects", "10"), 7, []string{"10", "--max-objects"}},
		"bad artifact name":   {h, []string{"put", "--name", "vision/a b*c", "--type", "dataset", top}, 2, []string{"a b*c"}},
		"bad type":            {h, []string{"put", "--name", "vision/new", "--type", "a/b", top}, 2, []string{"a/b"}},
		"no name":             {h, []string{"put", "--type", "dataset", top}, 2, []string{"--name"}},
		"bad alias":           {h, put(top, "--alias", "v7"), 2, []string{"v7"}},
		"bad metadata":        {h, put(top, "--metadata", "{not json"), 2, []string{"metadata"}},
		"no such artifact":    {h, []string{"ls", "vision/mnits"}, 3, []string{"mnits", "mnist"}},
		"no such project":     {h, []string{"show", "visoin/mnist"}, 3, []string{"visoin", "vision"}},
		"no such version":     {h, []string{"get", "vision/mnist:v9"}, 3, []string{"v9", "v0"}},
		"no such alias":       {h, []string{"get", "vision/mnist:bset"}, 3, []string{"bset"}},
		"no such command":     {h, []string{"mnt"}, 2, []string{"mnt"}},
		"no such flag":        {h, []string{"ls", "--no-such-flag"}, 2, []string{"no-such-flag"}},
		"mount point missing": {h, []string{"mount", "vision/mnist:v0", filepath.Join(top, "none")}, 2, []string{"none"}},
		"mount point a file":  {h, []string{"mount", "vision/mnist:v0", filepath.Join(top, "file")}, 2, []string{"file"}},
		"mount what is not":   {h, []string{"mount", "vision/nmist:v0", t.TempDir()}, 3, []string{"nmist", "mnist"}},
		"umount what is not":  {h, []string{"umount", t.TempDir()}, 2, []string{"not"}},
		"unknown registry":    {h, []string{"--registry", "foo://x", "ls"}, 2, []string{"foo://"}},
		"import no file":      {h, []string{"import", "--name", "vision/new", "--type", "dataset", "/no/such.json"}, 2, []string{"/no/such.json"}},
	} {
		t.Run(name, func(t *testing.T) {
			r := c.h.run(c.args...)
			wantOneLine(t, r, c.code, c.words...)
			if strings.Contains(r.stderr+r.stdout, "canary") {
				t.Errorf("a secret was printed: %s%s", r.stdout, r.stderr)
			}
			if r.stdout != "" {
				t.Errorf("standard output holds %q", r.stdout)
			}
		})
	}
	if after := registryFiles(t, h); after != before {
		t.Errorf("the registry changed:\n%s\nto\n%s", before, after)
	}
}

// registryFiles lists the registry's files, temporary ones included.
func registryFiles(t *testing.T, h *host) string {
	t.Helper()
	var all []string
	top := filepath.Join(h.dir, "registry")
	err := filepath.WalkDir(top, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			all = append(all, strings.TrimPrefix(path, top))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return strings.Join(all, "\n")
}

// TestBadManifests: a manifest with one bad path is refused whole, and named.
func TestBadManifests(t *testing.T) {
	h := newHost(t)
	for name, c := range map[string]struct{ path, word string }{
		"parent":          {"a/../../etc/passwd", "a/../../etc/passwd"},
		"absolute":        {"/etc/passwd", "/etc/passwd"},
		"NUL":             {"a\x00b", `a\x00b`},
		"doubled slash":   {"a//b", "a//b"},
		"dot":             {"./a", "./a"},
		"empty":           {"", `""`},
		"trailing slash":  {"a/", "a/"},
		"long name":       {"d/" + strings.Repeat("n", 256), "255"},
		"overlong path":   {strings.Repeat("d/", 2100) + "f", "4095"},
		"only parent dir": {"..", ".."},
	} {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "m.json")
			write(t, file, manifestWith(t, "good", c.path))
			r := h.run("import", "--name", "p/bad", "--type", "dataset", file)
			wantOneLine(t, r, 2, c.word)
		})
	}
	for name, text := range map[string]string{
		"twice":           `{"version":1,"storagePolicy":"p","storagePolicyConfig":{},"contents":{"a":{"digest":"x"},"a":{"digest":"y"}}}`,
		"no version":      `{"storagePolicy":"p","storagePolicyConfig":{},"contents":{}}`,
		"unknown version": `{"version":2,"storagePolicy":"p","storagePolicyConfig":{},"contents":{}}`,
		"no digest":       `{"version":1,"storagePolicy":"p","storagePolicyConfig":{},"contents":{"a":{"size":1}}}`,
		"cut":             `{"version":1,"storagePolicy":"p","storagePolicyConfig":{},"contents":{"a":{"dig`,
		"not JSON":        `hello`,
		"bad UTF-8":       "{\"version\":1,\"storagePolicy\":\"p\",\"storagePolicyConfig\":{},\"contents\":{\"a\xff\":{\"digest\":\"x\"}}}",
		"empty file":      ``,
	} {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "m.json")
			write(t, file, text)
			wantOneLine(t, h.run("import", "--name", "p/bad", "--type", "dataset", file), 2)
		})
	}
	if r := h.run("ls", "p/bad"); r.code != 3 {
		t.Errorf("something of the bad manifests was kept: %s", r.stdout)
	}
}

func manifestWith(t *testing.T, paths ...string) string {
	t.Helper()
	contents := map[string]any{}
	for _, p := range paths {
		contents[p] = map[string]any{"digest": "d41d8cd98f00b204e9800998ecf8427e", "ref": "s3://b/k", "size": 1}
	}
	text, err := json.Marshal(map[string]any{"version": 1, "storagePolicy": "wandb-storage-policy-v1",
		"storagePolicyConfig": map[string]any{"storageLayout": "V2"}, "contents": contents})
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestBusyMountPoint: a mount point in use is left as it is.
func TestBusyMountPoint(t *testing.T) {
	h := newHost(t)
	top := t.TempDir()
	write(t, filepath.Join(top, "file"), "content")
	h.put("vision/mnist", top)
	mnt := h.mount("vision/mnist:v0")
	wantOneLine(t, h.run("mount", "vision/mnist:v0", mnt), 1, mnt)
	held, err := os.Open(filepath.Join(mnt, "file"))
	if err != nil {
		t.Fatal(err)
	}
	wantOneLine(t, h.run("umount", mnt), 1, mnt, "--lazy")
	if err := held.Close(); err != nil {
		t.Fatal(err)
	}
	full := t.TempDir()
	write(t, filepath.Join(full, "mine"), "x")
	wantOneLine(t, h.run("mount", "vision/mnist:v0", full), 2, full)
	if got := read(t, filepath.Join(full, "mine")); string(got) != "x" {
		t.Errorf("the file below the mount point reads %q", got)
	}
}

// TestSignals: SIGINT and SIGTERM unmount cleanly.
func TestSignals(t *testing.T) {
	h := newHost(t)
	top := t.TempDir()
	write(t, filepath.Join(top, "file"), "content")
	h.put("vision/mnist", top)
	for _, sig := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM} {
		mnt := filepath.Join(t.TempDir(), "mnt")
		if err := os.Mkdir(mnt, 0o755); err != nil {
			t.Fatal(err)
		}
		h.must("mount", "vision/mnist:v0", mnt)
		if got := read(t, filepath.Join(mnt, "file")); string(got) != "content" {
			t.Errorf("reads %q", got)
		}
		if err := syscall.Kill(h.status().Daemon.PID, sig); err != nil {
			t.Fatal(err)
		}
		h.waitGone()
		if left, err := os.ReadDir(mnt); err != nil || len(left) > 0 {
			t.Errorf("after %v the mount point holds %v, %v", sig, left, err)
		}
	}
}
