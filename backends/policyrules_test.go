package backends_test

import (
	"context"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/pinfs/pinfs/backends"
	"github.com/pinfs/pinfs/manifest"
)

func rules(t testing.TB, o backends.RulesOptions) *backends.Rules {
	t.Helper()
	r, err := backends.NewRules(o)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// wantRefused wants KindDenied of ref that names --allow and the words.
func wantRefused(t testing.TB, r *backends.Rules, ref string, words ...string) {
	t.Helper()
	err := r.Ref("read", ref)
	if manifest.KindOf(err) != manifest.KindDenied {
		t.Errorf("%s: got %v, want it refused", ref, err)
		return
	}
	for _, word := range append(words, ref) {
		if !strings.Contains(err.Error(), word) {
			t.Errorf("%s: got %q, want %q in it", ref, err, word)
		}
	}
}

func wantAllowed(t testing.TB, r *backends.Rules, refs ...string) {
	t.Helper()
	for _, ref := range refs {
		if err := r.Ref("read", ref); err != nil {
			t.Errorf("%s: got %v, want it allowed", ref, err)
		}
	}
}

func TestRulesByDefault(t *testing.T) {
	r := rules(t, backends.RulesOptions{Home: "/data/me", Private: []string{"/var/cache/pinfs", "/secret/key.json", "/"}})
	wantAllowed(t, r, "", "s3://bucket/key", "gs://bucket/key", "azblob://acct/cont/blob", "https://acct.blob.core.windows.net/c/b", "mem://b/k",
		"https://example.com/x", "http://127.0.0.1:8080/x", "http://[::1]/x", "http://10.1.2.3/x", "http://localhost/x", "http://metadata.example/x",
		"file:///data/x", "file:///data/me/x", "file:///data/me/a/.b/x", "file:///data/.snapshot/hourly.0/x", "file:///home/a/b", "file:///home/.x",
		"file:///root/x", "file:///dev/shm/x", "file:///run/media/me/disk/x", "file:///etcetera/x", "file:///tmp/x", "file:///var/cache/pinfs2/x",
		"file:///mnt/etc/x", "wandb-artifact://0123/x", "gopher://host/x", "http://user:password@169.254.169.254/x") // that one's driver refuses it
	for ref, word := range map[string]string{
		"file:///etc/shadow":                       "--allow file:///etc/shadow",
		"file://localhost/etc/shadow":              "--allow file:///etc/shadow",
		"FILE:///etc/shadow":                       "system",
		"file:///etc":                              "system",
		"file:///data/../etc/shadow":               "system",
		"file:////etc//shadow":                     "system",
		"file:///./etc/./shadow":                   "system",
		"file:///proc/self/environ":                "system",
		"file:///sys/kernel/x":                     "system",
		"file:///dev/sda":                          "system",
		"file:///dev/shm/../sda":                   "system",
		"file:///run/secrets/token":                "system",
		"file:///var/run/secrets/token":            "system",
		"file:///boot/vmlinuz":                     "system",
		"file:///var/log/auth.log":                 "system",
		"file:///root/.ssh/id_ed25519":             "hidden",
		"file:///root/.netrc":                      "hidden",
		"file:///home/a/.aws/credentials":          "hidden",
		"file:///data/me/.config/gcloud/x":         "hidden",
		"file:///var/cache/pinfs/index":            "pinfs itself",
		"file:///secret/key.json":                  "credentials",
		"http://169.254.169.254/latest":            "--allow http://169.254.169.254/",
		"http://169.254.169.254:8080/latest":       "--allow http://169.254.169.254:8080/",
		"https://169.254.0.1/x":                    "link-local",
		"http://169.254.169.254./latest":           "link-local",
		"http://2852039166/latest":                 "link-local",
		"http://0xA9FEA9FE/latest":                 "link-local",
		"http://0251.0376.0251.0376/latest":        "link-local",
		"http://169.254.43518/latest":              "link-local",
		"http://169.16689662/latest":               "link-local",
		"http://[fe80::1]/x":                       "link-local",
		"http://[fe80::1%25eth0]/x":                "link-local",
		"http://[::ffff:169.254.169.254]/x":        "link-local",
		"http://[::169.254.169.254]/x":             "link-local",
		"http://[64:ff9b::a9fe:a9fe]/x":            "link-local",
		"http://[64:ff9b:1::a9fe:a9fe]/x":          "link-local",
		"http://[2002:a9fe:a9fe::1]/x":             "link-local",
		"http://100.100.100.200/latest/meta-data/": "metadata",
		"http://168.63.129.16/machine":             "metadata",
		"http://192.0.0.192/latest":                "metadata",
		"http://[fd00:ec2::254]/latest":            "metadata",
		"http://[fd00:ec2::23]/v1/credentials":     "metadata",
		"http://[fd20:ce::254]/x":                  "metadata",
		"http://metadata.google.internal/x":        "metadata",
		"http://Metadata.Google.Internal./x":       "metadata",
		"http://metadata.goog:80/x":                "metadata",
		"http://0.0.0.0/x":                         "no address",
		"http://0/x":                               "no address",
		"http://[::]/x":                            "no address",
		"http://0.1.2.3/x":                         "no address",
		"http://224.0.0.1/x":                       "many hosts",
		"http://255.255.255.255/x":                 "many hosts",
		"http://[ff02::1]/x":                       "many hosts",
		"http://１６９.254.169.254/x":                 "stand for others",
		"http://169。254。169。254/x":                 "stand for others",
	} {
		wantRefused(t, r, ref, word)
	}
}

// TestAllow: of a source that is named, nothing but what is named; more than by
// default where that is what is named.
func TestAllow(t *testing.T) {
	for name, c := range map[string]struct {
		allow           []string
		allowed, denied []string
	}{
		"files": {[]string{"file:///data/sets/", "file:///etc/models"},
			[]string{"file:///data/sets/x", "file:///data/sets/a/../b", "file:///etc/models/x", "https://example.com/x", "s3://b/k"},
			[]string{"file:///data/x", "file:///data/sets2/x", "file:///data/sets/../x", "file:///etc/shadow", "file:///etc/models/../shadow", "file:///"}},
		"a root does not bring what is refused in it": {[]string{"file:///home/me"},
			[]string{"file:///home/me/x"}, []string{"file:///home/me/.ssh/id", "file:///home/you/x", "file:///dev/shm/x"}},
		"all files":       {[]string{"file:///"}, []string{"file:///data/x", "file:///dev/shm/x"}, []string{"file:///etc/shadow", "file:///dev/sda"}},
		"a hidden place":  {[]string{"file:///home/me/.cache/hub", "file:///"}, []string{"file:///home/me/.cache/hub/x", "file:///x"}, []string{"file:///home/me/.cache/x"}},
		"one host":        {[]string{"https://Example.com/data/"}, []string{"https://example.com/data/x", "https://example.com:443/data/x", "https://EXAMPLE.com/data", "file:///x"}, []string{"https://example.com/x", "https://example.com/data2", "http://example.com/data/x", "https://example.com:8443/data/x", "https://example.com.evil.org/data/x", "https://evil.org/data/x", "http://127.0.0.1/x", "https://example.com/data/../x", "https://example.com/data/%2e%2e/x", "https://example.com/data%2f..%2fx", "https://example.com/data/..;/x", `https://example.com/data/..%5cx`}},
		"all of https":    {[]string{"https://"}, []string{"https://example.com/x", "https://10.0.0.1/x"}, []string{"http://example.com/x", "https://169.254.169.254/x"}},
		"an address":      {[]string{"http://169.254.169.254/latest/"}, []string{"http://169.254.169.254/latest/x"}, []string{"http://169.254.169.254/x", "http://169.254.169.254:81/latest/x", "http://169.254.1.1/latest/x", "http://example.com/x"}},
		"an IPv6 address": {[]string{"http://[fe80::1]:8080/"}, []string{"http://[fe80::1]:8080/x"}, []string{"http://[fe80::1]/x", "http://[fe80::2]:8080/x"}},
		"a bucket":        {[]string{"s3://bucket", "s3://other/pre/fix/"}, []string{"s3://bucket/k", "s3://bucket/a/../k", "s3://other/pre/fix/k", "gs://x/y"}, []string{"s3://bucket2/k", "s3://Bucket/k", "s3://other/pre/fixed", "s3://other/pre/fix/../../k"}},
		"a bucket of GCS": {[]string{"gs://bucket/a"}, []string{"gs://bucket/a/k", "gs://bucket/a", "s3://x/y"}, []string{"gs://bucket/b", "gs://x/a"}},
		"all of S3":       {[]string{"s3://"}, []string{"s3://any/k"}, nil},
		"Azure": {[]string{"azblob://acct/cont"}, []string{"azblob://acct/cont/x", "https://acct.blob.core.windows.net/cont/x", "https://ACCT.blob.core.windows.net/cont/x", "https://example.com/x"},
			[]string{"azblob://acct/other/x", "azblob://other/cont/x", "https://acct.blob.core.chinacloudapi.cn/cont/x"}},
		"all of Azure": {[]string{"azblob://"}, []string{"azblob://acct/c/x", "https://acct.blob.core.windows.net/c/x"}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			r := rules(t, backends.RulesOptions{Allow: c.allow})
			wantAllowed(t, r, c.allowed...)
			for _, ref := range c.denied {
				wantRefused(t, r, ref, "--allow")
			}
		})
	}
}

func TestAllowIsChecked(t *testing.T) {
	for _, text := range []string{"", "/data", "data", "file://data", "file://host/data", "file:///a\x00", "ftp://host/", "wandb-artifact://x", "mem://b",
		"http:///x", "https://host/x?sig=CANARY", "https://me:CANARY@host/", "https://host/#x", "s3:///key", "s3://bucket/a/../b", "http://ho st/"} {
		_, err := backends.NewRules(backends.RulesOptions{Allow: []string{text}})
		if manifest.KindOf(err) != manifest.KindInvalid || !strings.Contains(err.Error(), "file:///DIR/") || strings.Contains(err.Error(), "CANARY") {
			t.Errorf("%q: got %v, want KindInvalid with the form", text, err)
		}
	}
}

// TestOwnWord: what the user types himself may be anything, but no metadata service.
func TestOwnWord(t *testing.T) {
	r := rules(t, backends.RulesOptions{Allow: []string{"file:///data", "https://host/", "s3://bucket"}, Private: []string{"/secret"}}).Own()
	wantAllowed(t, r, "file:///etc/hosts", "file:///secret", "https://other/x", "s3://other/x")
	wantRefused(t, r, "http://169.254.169.254/x", "link-local")
	if err := r.RealPath("/etc/hosts"); err != nil {
		t.Error(err)
	}
	var none *backends.Rules
	if none.Own() != nil || none.Ref("read", "file:///etc/shadow") != nil || none.Path("/etc/shadow") != nil || none.RealPath("/etc/shadow") != nil {
		t.Error("no rules refuse files")
	}
	if u, _ := url.Parse("http://169.254.169.254/"); none.URL(u) == nil {
		t.Error("no rules allow addresses of metadata")
	}
}

// TestRealPath: where links lead counts, of the places too.
func TestRealPath(t *testing.T) {
	top, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{"real", "other", "cache"} {
		if err := os.Mkdir(filepath.Join(top, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	link := func(to, from string) {
		t.Helper()
		if err := os.Symlink(filepath.Join(top, to), filepath.Join(top, from)); err != nil {
			t.Fatal(err)
		}
	}
	link("real", "root")
	link("cache", "mycache")
	r := rules(t, backends.RulesOptions{Allow: []string{"file://" + top + "/root"}})
	d := rules(t, backends.RulesOptions{Private: []string{top + "/mycache"}})
	want := func(r *backends.Rules, path string, ok bool) {
		t.Helper()
		if err := r.RealPath(path); (err == nil) != ok {
			t.Errorf("%s: got %v, want allowed %v", path, err, ok)
		}
	}
	want(r, top+"/real/x", true)
	want(r, top+"/other/x", false)
	want(d, top+"/cache/x", false)
	want(d, top+"/real/x", true)
	for _, odd := range []string{"", "(unreachable)/x", "pipe:[1]", "anon_inode:x", "etc/x"} {
		want(d, odd, false)
	}
	if err := os.Remove(top + "/root"); err != nil {
		t.Fatal(err)
	}
	link("other", "root") // is seen at once where it matters
	want(r, top+"/other/x", true)
}

// TestNoAddressGetsThrough compares with a table of its own, whatever form the
// address has.
func TestNoAddressGetsThrough(t *testing.T) {
	var never []netip.Prefix
	for _, p := range []string{"169.254.0.0/16", "0.0.0.0/8", "224.0.0.0/3", "100.100.100.200/32", "168.63.129.16/32", "192.0.0.192/32",
		"fe80::/10", "ff00::/8", "::/128", "fd00:ec2::254/128", "fd00:ec2::23/128", "fd20:ce::254/128"} {
		never = append(never, netip.MustParsePrefix(p))
	}
	r := rules(t, backends.RulesOptions{})
	rapid.Check(t, func(t *rapid.T) {
		p := rapid.SampledFrom(never).Draw(t, "prefix")
		raw := p.Addr().AsSlice()
		random := rapid.SliceOfN(rapid.Byte(), len(raw), len(raw)).Draw(t, "rest")
		for i := range raw {
			mask := byte(0xff << max(0, min(8, (i+1)*8-p.Bits())))
			if p.Bits() <= i*8 {
				mask = 0
			}
			raw[i] = raw[i]&mask | random[i]&^mask
		}
		a, _ := netip.AddrFromSlice(raw)
		forms := []netip.Addr{a}
		if a.Is4() {
			b := a.As4()
			forms = append(forms, netip.AddrFrom16(a.As16()),
				netip.AddrFrom16([16]byte{0, 0x64, 0xff, 0x9b, 12: b[0], b[1], b[2], b[3]}),
				netip.AddrFrom16([16]byte{0x20, 2, b[0], b[1], b[2], b[3], 15: 9}))
		} else {
			forms = append(forms, a.WithZone("eth0"))
		}
		at := netip.AddrPortFrom(rapid.SampledFrom(forms).Draw(t, "form"), rapid.Uint16Min(1).Draw(t, "port"))
		if err := r.Control(context.Background(), "tcp", at.String(), nil); err == nil {
			t.Fatalf("%s may be asked", at)
		}
	})
	rapid.Check(t, func(t *rapid.T) {
		b := rapid.SliceOfN(rapid.Byte(), 4, 4).Draw(t, "address")
		a := netip.AddrFrom4([4]byte(b))
		refused := false
		for _, p := range never {
			refused = refused || p.Contains(a)
		}
		if err := r.Control(context.Background(), "tcp4", netip.AddrPortFrom(a, 80).String(), nil); (err != nil) != refused {
			t.Fatalf("%s: got %v, want refused %v", a, err, refused)
		}
	})
}

// TestNoPathGetsThrough: whatever a reference to a file looks like, what is allowed
// is below the root.
func TestNoPathGetsThrough(t *testing.T) {
	r := rules(t, backends.RulesOptions{Allow: []string{"file:///data/a"}})
	part := rapid.SampledFrom([]string{"data", "a", "b", "..", ".", "", "etc", "a..", "%2e%2e", "..a"})
	rapid.Check(t, func(t *rapid.T) {
		path := "/" + strings.Join(rapid.SliceOfN(part, 0, 8).Draw(t, "parts"), "/")
		clean := filepath.Clean(path)
		below := clean == "/data/a" || strings.HasPrefix(clean, "/data/a/")
		if err := r.Ref("read", "file://"+path); (err == nil) != below {
			t.Fatalf("%s: got %v, want allowed %v", path, err, below)
		}
	})
}
