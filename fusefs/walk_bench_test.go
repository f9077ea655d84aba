package fusefs_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime/pprof"
	"sync"
	"testing"
	"time"

	"github.com/pinfs/pinfs/fusefs"
	"github.com/pinfs/pinfs/manifest"
	"github.com/pinfs/pinfs/manifest/snapshot"
	"github.com/pinfs/pinfs/testwarden"
)

// walkers are programs that walk a tree, each as users do it: find reads a
// directory to its end before it stats, ls stats as it reads.
var walkers = []struct {
	name string
	argv func(dir string) []string
}{
	{"names", func(dir string) []string { return []string{"find", dir} }},
	{"find-attributes", func(dir string) []string { return []string{"find", dir, "-size", "+1000G"} }},
	{"ls-attributes", func(dir string) []string { return []string{"ls", "-lR", dir} }},
}

// walkLayouts are how many directories 100,000 files are in.
var walkLayouts = []int{1, 100}

const walkEntries = 100_000

// BenchmarkPrograms measures whole programs on a mount of another process, first
// and again, and the same on files in the temporary directory. daemon-ns/entry
// is the CPU time of the process that serves.
func BenchmarkPrograms(b *testing.B) {
	for _, dirs := range walkLayouts {
		dir := b.TempDir()
		must(b, walkSnapshot(dir+"/snapshot", dirs))
		files := sync.OnceValue(func() string { // only if a benchmark wants them
			dir := b.TempDir()
			must(b, walkFiles(dir, dirs))
			return dir
		})
		for _, w := range walkers {
			name := fmt.Sprintf("dirs=%d/%s", dirs, w.name)
			b.Run(name+"/first", func(b *testing.B) { benchFirst(b, dir, w.argv) })
			b.Run(name+"/again", func(b *testing.B) { benchAgain(b, dir, w.argv) })
			b.Run(name+"/files", func(b *testing.B) {
				run(b, w.argv(files()))
				var cpu time.Duration
				for b.Loop() {
					cpu += run(b, w.argv(files()))
				}
				report(b, cpu, walkEntries)
			})
		}
	}
}

func benchFirst(b *testing.B, dir string, argv func(string) []string) {
	var cpu, daemon time.Duration
	for b.Loop() {
		b.StopTimer()
		s := startServer(b, dir)
		b.StartTimer()
		cpu += run(b, argv(s.dir))
		b.StopTimer()
		daemon += s.stop(b)
		b.StartTimer()
	}
	report(b, cpu, walkEntries)
	b.ReportMetric(float64(daemon.Nanoseconds())/float64(b.N)/walkEntries, "daemon-ns/entry")
}

func benchAgain(b *testing.B, dir string, argv func(string) []string) {
	s := startServer(b, dir)
	defer s.stop(b)
	run(b, argv(s.dir))
	var cpu time.Duration
	for b.Loop() {
		cpu += run(b, argv(s.dir))
	}
	report(b, cpu, walkEntries)
}

// run runs a program to its end and gives its CPU time.
func run(b *testing.B, argv []string) time.Duration {
	cmd := testwarden.Command(b.Context(), argv[0], argv[1:]...)
	cmd.Stderr = os.Stderr
	must(b, cmd.Run())
	return cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
}

// walkEntry is the i-th file of a tree of so many directories.
func walkEntry(i, dirs int) string {
	return fmt.Sprintf("train/class-%04d/image-%08d.jpg", i*dirs/walkEntries, i)
}

func walkSnapshot(path string, dirs int) error {
	bu, err := snapshot.NewBuilder(exact)
	if err != nil {
		return err
	}
	defer bu.Close()
	for i := range walkEntries {
		name := walkEntry(i, dirs)
		if err := bu.Add(manifest.Entry{Path: name, Ref: "s3://bucket/" + name, Digest: fmt.Sprintf("%032x", i), Size: int64(i)}); err != nil {
			return err
		}
	}
	_, err = bu.Build(context.Background(), path)
	return err
}

func walkFiles(dir string, dirs int) error {
	for i := range walkEntries {
		path := dir + "/" + walkEntry(i, dirs)
		err := os.WriteFile(path, nil, 0o600)
		if errors.Is(err, os.ErrNotExist) {
			err = errors.Join(os.MkdirAll(path[:len(path)-len("/image-00000000.jpg")], 0o700), os.WriteFile(path, nil, 0o600))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// server is a process that serves a mount on dir until it is stopped.
type server struct {
	dir string
	cmd *exec.Cmd
	in  io.Closer
	out io.Reader
}

func startServer(b *testing.B, dir string) *server {
	needFuse(b)
	s := &server{dir: b.TempDir(), cmd: testwarden.Command(b.Context(), "/proc/self/exe")}
	s.cmd.Env = append(os.Environ(), "FUSEFS_TEST_ROLE=serve", "FUSEFS_TEST_PATH="+dir+"/snapshot", "FUSEFS_TEST_MOUNT="+s.dir)
	s.cmd.Stderr = os.Stderr
	in, err := s.cmd.StdinPipe()
	must(b, err)
	out, err := s.cmd.StdoutPipe()
	must(b, err)
	must(b, s.cmd.Start())
	if _, err := io.ReadFull(out, make([]byte, 1)); err != nil {
		b.Fatal("the server does not serve: ", err)
	}
	s.in, s.out = in, out
	return s
}

// stop ends the server and gives the CPU time that it needed for serving.
func (s *server) stop(b *testing.B) time.Duration {
	must(b, s.in.Close())
	var cpu time.Duration
	_, err := fmt.Fscan(s.out, &cpu)
	must(b, err)
	must(b, s.cmd.Wait())
	return cpu
}

// serve is what such a process does. It writes a byte when it serves. With
// FUSEFS_TEST_PROFILE it writes a CPU profile there.
func serve() error {
	snap, err := snapshot.Open(os.Getenv("FUSEFS_TEST_PATH"))
	if err != nil {
		return err
	}
	defer snap.Close()
	if path := os.Getenv("FUSEFS_TEST_PROFILE"); path != "" {
		f, err := os.Create(path)
		if err != nil {
			return err
		}
		defer f.Close()
		if err := pprof.StartCPUProfile(f); err != nil {
			return err
		}
		defer pprof.StopCPUProfile()
	}
	m, err := fusefs.Mount(context.Background(), os.Getenv("FUSEFS_TEST_MOUNT"), fusefs.Options{
		Content: zeros{newMemory()}, Tree: &fusefs.Tree{Snapshot: snap, Project: "p", Name: "a:v0", Digest: "d", Created: created}})
	if err != nil {
		return err
	}
	before := usedCPU()
	os.Stdout.Write([]byte{1})
	_, _ = io.Copy(io.Discard, os.Stdin)
	fmt.Println(int64(usedCPU() - before)) // the kernel's work at the unmount counts as ours
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	return m.Unmount(ctx, false)
}

// zeros is Content of any size that leaves in the buffer what is there.
type zeros struct{ *memory }

func (zeros) ReadAt(_ context.Context, _ manifest.Object, p []byte, _ int64) (int, error) {
	return len(p), nil
}
