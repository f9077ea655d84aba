package integration_test

import (
	"crypto/md5"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

func md5Of(s string) string {
	sum := md5.Sum([]byte(s))
	return base64.StdEncoding.EncodeToString(sum[:])
}

// TestOverwrittenFile: a file reference whose source was overwritten fails in
// W&B's words, whatever its size and whether the size changed; what was cached
// before stays readable.
func TestOverwrittenFile(t *testing.T) {
	for name, sizes := range map[string][2]int{
		"small, same size":  {100, 100},
		"small, other size": {100, 101},
		"large, same size":  {3 << 20, 3 << 20},
		"large, other size": {3 << 20, 2 << 20},
	} {
		t.Run(name, func(t *testing.T) {
			overwrittenFile(t, strings.Repeat("a", sizes[0]), strings.Repeat("b", sizes[1]))
		})
	}
}

func overwrittenFile(t *testing.T, before, after string) {
	h := newHost(t)
	top := t.TempDir()
	for _, name := range []string{"read-before", "never-read"} {
		write(t, filepath.Join(top, name), before)
	}
	h.put("files/changed", top)
	mnt := h.mount("files/changed:v0")
	if got := read(t, filepath.Join(mnt, "read-before")); string(got) != before {
		t.Fatalf("before the change: %d wrong bytes", len(got))
	}
	for _, name := range []string{"read-before", "never-read"} {
		write(t, filepath.Join(top, name), after)
	}
	if err := os.WriteFile("/proc/sys/vm/drop_caches", []byte("3"), 0); err != nil {
		t.Fatal(err) // else the kernel answers, not the cache
	}
	if got := read(t, filepath.Join(mnt, "read-before")); string(got) != before {
		t.Errorf("the cached file gives %d wrong bytes", len(got))
	}
	if got, err := os.ReadFile(filepath.Join(mnt, "never-read")); !errors.Is(err, syscall.ESTALE) {
		t.Errorf("changed file: %d bytes, %v, want ESTALE", len(got), err)
	}
	words := fmt.Sprintf("Local file reference: Digest mismatch for path '%s': expected '%s' but found '%s'",
		filepath.Join(top, "never-read"), md5Of(before), md5Of(after))
	if errs := h.status().Errors; len(errs) != 1 || !strings.Contains(errs[0].Message, words) {
		t.Errorf("status has %+v, want one error with %q", errs, words)
	}
	wantGetAndVerifyFail(t, h, words)
}

// wantGetAndVerifyFail: get saves nothing of the changed files and says so for each.
func wantGetAndVerifyFail(t *testing.T, h *host, words string) {
	t.Helper()
	root := filepath.Join(t.TempDir(), "got")
	r := h.run("get", "files/changed:v0", "--root", root)
	if r.code != 6 || !strings.Contains(r.stderr, words) {
		t.Errorf("get: exit %d, want 6 and %q:\n%s", r.code, words, r.stderr)
	}
	if left, _ := filepath.Glob(filepath.Join(root, "*")); len(left) > 0 {
		t.Errorf("get left %v", left)
	}
	if r := h.run("--json", "verify", "files/changed:v0"); r.code != 6 || !strings.Contains(r.stdout, "never-read") {
		t.Errorf("verify: exit %d, want 6 and the path:\n%s%s", r.code, r.stdout, r.stderr)
	}
}
