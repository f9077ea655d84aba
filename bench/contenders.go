package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// Versions that tools.sh has too.
const (
	rcloneVersion    = "v1.76.0"
	toxiproxyVersion = "v2.5.0"
)

// contender is one that is measured.
type contender struct {
	name    string
	version string
	missing string // why it can't be measured; "" when it can
	mount   func(ctx context.Context, p *site) error
}

func (c contender) isPinfs() bool { return c.name == namePinfs || c.name == namePass }
func (c contender) isPeer() bool  { return c.name == nameRclone || c.name == nameS3FS }

// share is what a contender reads of a set: all, but of many small files a peer reads
// only the first part, since it may take minutes for them. Their unit is the time of one.
func (c contender) share(d *dataset) []file {
	if c.isPeer() && d.size <= smallFile && len(d.files) > perDir {
		return d.files[:max(len(d.files)/peerFiles, perDir)]
	}
	return d.files
}

// site is one fresh mount of a set.
type site struct {
	set      *dataset
	endpoint string
	root     string // where the files are
	mark     string // of the contender's processes
	cache    string // empty directory
	env      []string
	closes   []func() // last first
}

// close ends the mount and empties its cache.
func (p *site) close() {
	for i := len(p.closes) - 1; i >= 0; i-- {
		p.closes[i]()
	}
}

// newSite makes the directories of a mount.
func (l *lab) newSite(c contender, set *dataset, n network) (*site, error) {
	l.mounts++
	name := fmt.Sprintf("%s-%d", c.name, l.mounts)
	p := &site{set: set, endpoint: n.endpoint, root: l.path("mnt", name), mark: filepath.Base(l.dir) + "-" + name, cache: l.path("cache", name)}
	for _, dir := range []string{p.root, p.cache} {
		if err := os.Mkdir(dir, 0o755); err != nil {
			return nil, err
		}
	}
	p.closes = append(p.closes, func() { emptyFilesBelow(p.cache) }, func() { _ = os.Remove(l.path("mnt", name)) })
	return p, nil
}

// contenders gives all, the ones that can't be had too.
func (l *lab) contenders(ctx context.Context, peers bool) []contender {
	pass := contender{name: namePass, mount: func(ctx context.Context, p *site) error { return l.mountPinfs(ctx, p, "--open=passthrough") }}
	if !l.can.passthrough {
		pass.missing = "this build has no --open"
	}
	all := []contender{
		{name: nameDisk, mount: func(context.Context, *site) error { return nil }},
		{name: nameBare, version: "aws-sdk-go-v2"},
		{name: namePinfs, mount: func(ctx context.Context, p *site) error { return l.mountPinfs(ctx, p) }},
		pass,
	}
	if version, err := output(ctx, pinfsLimit, nil, l.pinfs, "--version"); err == nil {
		all[2].version, all[3].version = strings.TrimSpace(version), strings.TrimSpace(version)
	}
	if peers {
		all = append(all, l.rclone(), l.s3fs(ctx))
	}
	return all
}

// serve starts the program of a mount.
func (p *site) serve(ctx context.Context, name string, args ...string) error {
	c, err := serveMount(ctx, p.root, p.mark, p.env, name, args...)
	if err != nil {
		reap(p.mark)
		return err
	}
	p.closes = append(p.closes, func() {
		unmount(p.root)
		c.stop()
		reap(p.mark)
	})
	return nil
}

func (l *lab) mountPinfs(ctx context.Context, p *site, flags ...string) error {
	p.env = l.pinfsEnv(p.endpoint, p.cache)
	args := append([]string{"mount", "--foreground"}, flags...)
	return p.serve(ctx, l.pinfs, append(args, "bench/"+p.set.name+":v0", p.root)...)
}

// warm brings a whole version by `pinfs warm`.
func (l *lab) warm(ctx context.Context, p *site, limit time.Duration) error {
	_, err := output(ctx, limit, p.env, l.pinfs, "--quiet", "warm", "bench/"+p.set.name+":v0")
	return err
}

// busy tells whether a pinfs has anything under way that no reader waits for.
func (l *lab) busy(ctx context.Context, p *site) (bool, error) {
	out, err := output(ctx, pinfsLimit, p.env, l.pinfs, "--json", "status")
	if err != nil {
		return false, err
	}
	var s struct{ Cache struct{ Busy int64 } }
	err = json.Unmarshal([]byte(out), &s)
	return s.Cache.Busy > 0, err
}

// rclone is mounted as its documentation advises for reading much: the whole VFS
// cache, many streams for a file, no times or checksums that cost requests.
func (l *lab) rclone() contender {
	c := contender{name: nameRclone, version: rcloneVersion}
	program, err := tool("rclone", rcloneVersion)
	if err != nil {
		c.missing = err.Error()
	}
	c.mount = func(ctx context.Context, p *site) error {
		p.env = append(l.storeEnv(p.endpoint), "RCLONE_CONFIG=/dev/null")
		return p.serve(ctx, program, "mount", ":s3:"+bucket+"/"+p.set.name, p.root,
			"--s3-provider=Other", "--s3-env-auth", "--s3-endpoint="+p.endpoint, "--s3-region="+l.server.Region,
			"--s3-force-path-style", "--s3-list-version=2", "--s3-no-check-bucket",
			"--read-only", "--vfs-cache-mode=full", "--cache-dir="+p.cache, "--vfs-cache-max-size=20G",
			"--vfs-fast-fingerprint", "--no-modtime", "--no-checksum", "--dir-cache-time=1000h", "--attr-timeout=1h", "--poll-interval=0",
			"--buffer-size=16M", "--vfs-read-ahead=128M", "--vfs-read-chunk-size=8M", "--vfs-read-chunk-streams=16",
			"--max-read-ahead=1M", "--transfers=32", "--use-server-modtime")
	}
	return c
}

// s3fs is mounted with its cache on disk and as many requests at once as others.
func (l *lab) s3fs(ctx context.Context) contender {
	c := contender{name: nameS3FS}
	program, err := installed("s3fs")
	if err != nil {
		c.missing = err.Error()
		return c
	}
	if version, err := output(ctx, pinfsLimit, nil, program, "--version"); err == nil {
		c.version, _, _ = strings.Cut(version, "\n")
	}
	c.mount = func(ctx context.Context, p *site) error {
		// Not AWS's names: an empty session token is an error to s3fs.
		p.env = append(p.env, "AWSACCESSKEYID="+l.server.AccessKey, "AWSSECRETACCESSKEY="+l.server.SecretKey)
		return p.serve(ctx, program, bucket+":/"+p.set.name, p.root, "-f",
			"-o", "url="+p.endpoint, "-o", "use_path_request_style", "-o", "endpoint="+l.server.Region, "-o", "sigv4",
			"-o", "ro", "-o", "use_cache="+p.cache, "-o", "parallel_count=16", "-o", "multipart_size=10", "-o", "multireq_max=64",
			"-o", "max_stat_cache_size=1000000", "-o", "stat_cache_expire=3600", "-o", "enable_noobj_cache", "-o", "complement_stat", "-o", "dbglevel=err",
			"-o", "listobjectsv2", "-o", "kernel_cache", "-o", "umask=0022")
	}
	return c
}
