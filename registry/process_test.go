package registry_test

import (
	"bufio"
	"context"
	"crypto/md5"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/pinfs/pinfs/manifest"
	"github.com/pinfs/pinfs/manifest/snapshot"
	"github.com/pinfs/pinfs/registry"
	"github.com/pinfs/pinfs/testwarden"
)

// What the test binary does when it runs as a process of a test.
const (
	roleEnv = "PINFS_REGISTRY_TEST_ROLE"
	dirEnv  = "PINFS_REGISTRY_TEST_DIR"

	roleDifferent = "different" // commits contents that nobody else has
	roleEqual     = "equal"     // commits one content
	roleForever   = "forever"   // commits until it is killed, and says what is done
	roleFull      = "full"      // writes to a disk that is full, then read-only
	roleDenied    = "denied"    // writes and reads without permission
)

// perProcess is how many commits a process makes.
const perProcess = 125

// role gives the command that plays a role.
func role(ctx context.Context, t testing.TB, name, dir string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	must(t, err)
	c := testwarden.Command(ctx, self)
	c.Env = append(os.Environ(), roleEnv+"="+name, dirEnv+"="+dir)
	c.Stderr = t.Output()
	return c
}

// play runs a role and gives the exit code.
func play(name string) int {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	dir := os.Getenv(dirEnv)
	err := map[string]func(context.Context, string) error{
		roleDifferent: playDifferent, roleEqual: playEqual, roleForever: playForever, roleFull: playFull, roleDenied: playDenied,
	}[name](ctx, dir)
	if err != nil {
		fmt.Fprintln(os.Stderr, name, err)
		return 1
	}
	return 0
}

// makeCommit makes a commit whose content is text, with its snapshot in tmp.
func makeCommit(tmp, text string) (registry.Commit, error) {
	sum := sha256.Sum256([]byte(text))
	digest := md5.Sum([]byte(text))
	path := filepath.Join(tmp, "snapshot-"+hex.EncodeToString(digest[:]))
	c := registry.Commit{
		Project: "p", Artifact: "a", Type: "dataset", SnapshotPath: path,
		Summary: snapshot.Summary{Digest: hex.EncodeToString(digest[:]), SHA256: hex.EncodeToString(sum[:]), Files: 1, Bytes: int64(len(text))},
	}
	return c, os.WriteFile(path, []byte(text), 0o600)
}

// commitText commits text in r.
func commitText(ctx context.Context, r *registry.Registry, text string, change ...func(*registry.Commit)) (registry.Version, bool, error) {
	tmp, remove, err := r.MakeTemp(ctx)
	if err != nil {
		return registry.Version{}, false, err
	}
	defer remove()
	c, err := makeCommit(tmp, text)
	if err != nil {
		return registry.Version{}, false, err
	}
	for _, f := range change {
		f(&c)
	}
	return r.Commit(ctx, c)
}

// previewText asks what commitText would give.
func previewText(ctx context.Context, r *registry.Registry, text string, change func(*registry.Commit)) (registry.Version, bool, error) {
	digest := md5.Sum([]byte(text))
	c := registry.Commit{Project: "p", Artifact: "a", Type: "dataset", Summary: snapshot.Summary{Digest: hex.EncodeToString(digest[:])}}
	change(&c)
	return r.Preview(ctx, c)
}

func openRegistry(ctx context.Context, dir string) (*registry.Registry, error) {
	return registry.Open(ctx, registry.NewDirStore(dir), registry.Options{By: "tester"})
}

func playMany(ctx context.Context, dir string, text func(i int) string) error {
	r, err := openRegistry(ctx, dir)
	if err != nil {
		return err
	}
	defer r.Close()
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(5)
	for i := range perProcess {
		g.Go(func() error {
			_, _, err := commitText(ctx, r, text(i), func(c *registry.Commit) { c.Aliases = []string{"newest"} })
			return err
		})
	}
	return g.Wait()
}

func playDifferent(ctx context.Context, dir string) error {
	return playMany(ctx, dir, func(i int) string { return fmt.Sprint(os.Getpid(), " ", i) })
}

func playEqual(ctx context.Context, dir string) error {
	return playMany(ctx, dir, func(int) string { return "equal" })
}

// playForever tells each version that is committed on standard output.
func playForever(ctx context.Context, dir string) error {
	r, err := openRegistry(ctx, dir)
	if err != nil {
		return err
	}
	for i := 0; ; i++ {
		text := fmt.Sprint(os.Getpid(), " ", i)
		v, isNew, err := commitText(ctx, r, text, func(c *registry.Commit) { c.Aliases = []string{"best"} })
		if err != nil || !isNew {
			return fmt.Errorf("commit %q: new %v: %w", text, isNew, err)
		}
		fmt.Println(v.Index, v.Digest)
	}
}

func TestProcessesCommitDifferentContents(t *testing.T) {
	const processes = 8
	dir := t.TempDir()
	runAll(t, roleDifferent, dir, processes)
	versions := wantWhole(t, dir, processes*perProcess)
	seen := map[string]bool{}
	for _, v := range versions {
		if seen[v.Digest] {
			t.Errorf("digest %s has two versions", v.Digest)
		}
		seen[v.Digest] = true
	}
}

func TestProcessesCommitEqualContent(t *testing.T) {
	dir := t.TempDir()
	runAll(t, roleEqual, dir, 8)
	wantWhole(t, dir, 1)
}

func runAll(t *testing.T, name, dir string, processes int) {
	t.Helper()
	g, ctx := errgroup.WithContext(t.Context())
	for range processes {
		c := role(ctx, t, name, dir)
		g.Go(c.Run)
	}
	must(t, g.Wait())
}

// wantWhole checks what must hold whatever happened: numbers without a gap, every
// version with its snapshot, aliases that point to versions, nothing but leftovers
// of the dead in .tmp.
func wantWhole(t testing.TB, dir string, count int) []registry.Version {
	t.Helper()
	ctx := context.Background()
	r, err := openRegistry(ctx, dir)
	must(t, err)
	versions, err := r.Versions(ctx, "p", "a")
	must(t, err)
	if count >= 0 && len(versions) != count {
		t.Fatalf("got %d versions, want %d", len(versions), count)
	}
	store := registry.NewDirStore(dir)
	for i, v := range versions {
		if v.Index != i {
			t.Fatalf("version %d has the number %d: a gap", i, v.Index)
		}
		path, err := store.Fetch(ctx, "snapshots/"+v.Snapshot)
		must(t, err)
		data, err := os.ReadFile(path)
		must(t, err)
		if sum := sha256.Sum256(data); hex.EncodeToString(sum[:]) != v.Snapshot {
			t.Errorf("%s: its snapshot is not the one with its hash", v.Name())
		}
	}
	for _, alias := range []string{"best", "newest"} {
		_, err := r.Resolve(ctx, manifest.Name{Project: "p", Artifact: "a", Version: alias})
		if err != nil && !strings.Contains(err.Error(), "no alias") {
			t.Errorf("alias %s: %v", alias, err)
		}
	}
	return versions
}

// Killed at any moment, a committer leaves all that it reported, at most one
// version more, and a registry that others go on with.
func TestKilledCommitters(t *testing.T) {
	dir := t.TempDir()
	for round := range 20 {
		reported := killOne(t, dir, time.Duration(round)*2*time.Millisecond)
		versions := wantWhole(t, dir, -1)
		for _, line := range reported {
			index, digest, _ := strings.Cut(line, " ")
			i, err := strconv.Atoi(index)
			must(t, err)
			if i >= len(versions) || versions[i].Digest != digest {
				t.Fatalf("v%d was reported and is lost", i)
			}
		}
		r, err := openRegistry(t.Context(), dir)
		must(t, err)
		v, isNew, err := commitText(t.Context(), r, fmt.Sprint("after ", round))
		if err != nil || !isNew || v.Index != len(versions) {
			t.Fatalf("commit after the kill: got %s, new %v, error %v; want v%d", v.Name(), isNew, err, len(versions))
		}
	}
}

// killOne starts a committer, kills it some time after its first commit, and gives
// what it reported.
func killOne(t *testing.T, dir string, after time.Duration) []string {
	t.Helper()
	c := role(t.Context(), t, roleForever, dir)
	out, err := c.StdoutPipe()
	must(t, err)
	must(t, c.Start())
	var lines []string
	scan := bufio.NewScanner(out)
	for scan.Scan() {
		if lines = append(lines, scan.Text()); len(lines) == 1 {
			time.AfterFunc(after, func() { _ = c.Process.Kill() })
		}
	}
	_ = c.Wait()
	if len(lines) == 0 {
		t.Fatal("the committer reported nothing")
	}
	return lines
}
