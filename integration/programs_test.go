package integration_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"testing/fstest"
)

// workTree makes a directory with what people keep in data sets: odd names, a
// git repository, a database, a large file, small ones for a loader.
func workTree(t *testing.T) string {
	t.Helper()
	top := filepath.Join(t.TempDir(), "tree")
	for _, path := range odd {
		write(t, filepath.Join(top, "odd", path), strings.Repeat("content of "+path+"\n", 1+len(path)*len(path)))
	}
	write(t, filepath.Join(top, "empty file"), "")
	for i := range 400 {
		write(t, filepath.Join(top, "samples", strconv.Itoa(i%10), strconv.Itoa(i)+".bin"), strings.Repeat(string(rune('a'+i%26)), 1000+i*37))
	}
	var numbers strings.Builder
	for i := range 600_000 {
		numbers.WriteString(strconv.Itoa(i * 7919))
		numbers.WriteByte('\n')
	}
	write(t, filepath.Join(top, "large.txt"), numbers.String())
	git := func(args ...string) {
		program(t, top, "git", append([]string{"-C", filepath.Join(top, "repo"), "-c", "user.name=t", "-c", "user.email=t@example.com"}, args...)...)
	}
	write(t, filepath.Join(top, "repo", "README"), "a repository\n")
	git("init", "-q")
	for i := range 5 {
		write(t, filepath.Join(top, "repo", "src", strconv.Itoa(i)), strings.Repeat("line\n", 1000*i))
		git("add", "-A")
		git("commit", "-q", "-m", "commit "+strconv.Itoa(i))
	}
	git("repack", "-a", "-d", "-q") // packs are read by mmap; gc would leave no file in refs/
	program(t, top, "sqlite3", "data.db", "create table t(i integer primary key, s text);"+
		"with recursive n(i) as (select 1 union all select i+1 from n where i<20000) insert into t select i, hex(randomblob(20)) from n;")
	return top
}

// TestPrograms: what people run on data sets works on the mount as on a disk.
func TestPrograms(t *testing.T) {
	h, top := newHost(t), workTree(t)
	h.put("programs/tree", top)
	mnt := h.mount("programs/tree:v0")
	for name, f := range map[string]func(t *testing.T, top, mnt string){
		"find": withFind, "ls": withLs, "du": withDu, "tar": withTar, "rsync": withRsync, "cp": withCp,
		"sha256sum": withSha256sum, "git": withGit, "sqlite3": withSqlite, "mmap": withMmap, "DataLoader": withDataLoader, "TestFS": withTestFS,
	} {
		t.Run(name, func(t *testing.T) { f(t, top, mnt) })
	}
	if errs := h.status().Errors; len(errs) > 0 {
		t.Errorf("the programs met errors: %+v", errs)
	}
}

// sameOutput runs one shell line in both trees.
func sameOutput(t *testing.T, top, mnt, line string) {
	t.Helper()
	want, got := program(t, top, "sh", "-ec", line), program(t, mnt, "sh", "-ec", line)
	if want == "" || got != want {
		t.Errorf("%s:\n got %s\nwant %s", line, tail(got, 1000), tail(want, 1000))
	}
}

// The empty directories of a repository can't be recorded, so find and ls look
// at files and at the directories above them.
func withFind(t *testing.T, top, mnt string) {
	sameOutput(t, top, mnt, `find . -type f -printf '%p %s %TY-%Tm-%Td %TT\n' | LC_ALL=C sort`)
	sameOutput(t, top, mnt, `find samples odd -type d -links +1 | LC_ALL=C sort`)
	sameOutput(t, top, mnt, `find . -name '*.bin' -size +4k | wc -l`)
}

func withLs(t *testing.T, top, mnt string) {
	sameOutput(t, top, mnt, `LC_ALL=C ls -R odd samples`)
	out := program(t, mnt, "ls", "-lR", "--time-style=full-iso", ".")
	if n := strings.Count(out, "\n-r--r--r-- 1 root root"); n < 400 {
		t.Errorf("ls -lR shows %d read-only files:\n%s", n, tail(out, 1000))
	}
}

func withDu(t *testing.T, top, mnt string) {
	sameOutput(t, top, mnt, `find . -type f -print0 | LC_ALL=C sort -z | du --apparent-size -b --files0-from=- -c | tail -1`)
	program(t, mnt, "du", "-sh", ".")
	program(t, mnt, "df", ".")
}

func withTar(t *testing.T, top, mnt string) {
	sameOutput(t, top, mnt, `tar --sort=name --mtime=@0 --mode=0644 -cf - odd samples large.txt data.db | sha256sum`)
	out := filepath.Join(t.TempDir(), "all.tar")
	program(t, mnt, "tar", "-cf", out, ".")
	program(t, mnt, "tar", "-df", out)
}

func withRsync(t *testing.T, top, mnt string) {
	out := t.TempDir()
	program(t, mnt, "rsync", "-a", "-c", mnt+"/", out+"/")
	if changed := program(t, mnt, "rsync", "-rcni", "--exclude=*/refs/tags", top+"/samples/", out+"/samples/"); strings.Contains(changed, ">f") {
		t.Errorf("rsync -c finds differences:\n%s", changed)
	}
	program(t, mnt, "diff", "-r", mnt, out)
}

func withCp(t *testing.T, top, mnt string) {
	out := filepath.Join(t.TempDir(), "copy")
	program(t, mnt, "cp", "-r", mnt, out)
	program(t, mnt, "diff", "-r", mnt, out)
	program(t, mnt, "cmp", filepath.Join(top, "large.txt"), filepath.Join(out, "large.txt"))
}

func withSha256sum(t *testing.T, top, mnt string) {
	sums := filepath.Join(t.TempDir(), "sums")
	write(t, sums, program(t, top, "sh", "-ec", `find . -type f -print0 | xargs -0 sha256sum`))
	program(t, mnt, "sha256sum", "--quiet", "--strict", "-c", sums)
}

func withGit(t *testing.T, _, mnt string) {
	repo := filepath.Join(mnt, "repo")
	program(t, mnt, "git", "-c", "safe.directory="+repo, "-C", repo, "fsck", "--full", "--strict")
	if log := program(t, mnt, "git", "-c", "safe.directory="+repo, "-C", repo, "log", "--oneline"); strings.Count(log, "\n") != 5 {
		t.Errorf("git log: %s", log)
	}
	if changed := program(t, mnt, "git", "-c", "safe.directory="+repo, "-c", "core.fileMode=false", "-C", repo, "--no-optional-locks", "status", "--porcelain"); changed != "" {
		t.Errorf("git status finds changes:\n%s", changed)
	}
}

func withSqlite(t *testing.T, _, mnt string) {
	out := program(t, mnt, "sqlite3", "-readonly", filepath.Join(mnt, "data.db"), "pragma integrity_check; select count(*), sum(i) from t;")
	if out != "ok\n20000|200010000\n" {
		t.Errorf("sqlite3: %s", out)
	}
}

func withMmap(t *testing.T, top, mnt string) {
	for _, dir := range []string{top, mnt} {
		out := program(t, dir, "/usr/bin/python3", "-c", `
import hashlib, mmap, random
with open("large.txt", "rb") as f, mmap.mmap(f.fileno(), 0, access=mmap.ACCESS_READ) as m:
    random.seed(1)
    for _ in range(2000):
        i = random.randrange(len(m))
        f.seek(i)
        assert m[i:i + 100] == f.read(100)
    print(hashlib.sha256(m).hexdigest())`)
		if want := program(t, top, "sha256sum", "large.txt"); !strings.HasPrefix(want, strings.TrimSpace(out)) {
			t.Errorf("mmap in %s: %s, want %s", dir, out, want)
		}
	}
}

func withDataLoader(t *testing.T, top, mnt string) {
	script := `
import hashlib, pathlib, sys, warnings
warnings.filterwarnings("ignore") # more workers than cores
import torch.utils.data
class Samples(torch.utils.data.Dataset):
    def __init__(self, top): self.files = sorted(pathlib.Path(top, "samples").rglob("*.bin"))
    def __len__(self): return len(self.files)
    def __getitem__(self, i): return self.files[i].name + " " + hashlib.sha256(self.files[i].read_bytes()).hexdigest()
for epoch in range(2):
    for batch in torch.utils.data.DataLoader(Samples(sys.argv[1]), batch_size=16, num_workers=4, shuffle=False):
        print("\n".join(batch))`
	want, got := program(t, top, "/usr/bin/python3", "-c", script, top), program(t, top, "/usr/bin/python3", "-c", script, mnt)
	if strings.Count(got, "\n") != 800 || got != want {
		t.Errorf("the loader read other samples from the mount:\n%s", tail(got, 500))
	}
}

func withTestFS(t *testing.T, top, mnt string) {
	var expected []string
	fsys := os.DirFS(top)
	err := fs.WalkDir(fsys, ".", func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			expected = append(expected, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := fstest.TestFS(os.DirFS(mnt), expected...); err != nil {
		t.Error(err)
	}
}
