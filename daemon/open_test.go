package daemon_test

import (
	"context"
	"strings"
	"testing"

	"github.com/pinfs/pinfs/daemon"
	"github.com/pinfs/pinfs/fusefs"
	"github.com/pinfs/pinfs/manifest"
	"github.com/pinfs/pinfs/manifest/snapshot"
)

func TestAutoChoosesBySize(t *testing.T) {
	const mib, gib = 1 << 20, 1 << 30
	for name, c := range map[string]struct {
		s    snapshot.Summary
		want fusefs.OpenMode
	}{
		"nothing":                {snapshot.Summary{}, fusefs.OpenStateless},
		"a model":                {snapshot.Summary{Files: 1, Bytes: 15 * gib}, fusefs.OpenPassthrough},
		"shards and small files": {snapshot.Summary{Files: 12, Bytes: 8 * 5 * gib}, fusefs.OpenPassthrough},
		"samples":                {snapshot.Summary{Files: 10_000, Bytes: 10_000 * 8192}, fusefs.OpenStateless},
		"images of 5 MiB":        {snapshot.Summary{Files: 64, Bytes: 64 * 5 * mib}, fusefs.OpenStateless},
		"just large":             {snapshot.Summary{Files: 10, Bytes: 10 * 16 * mib}, fusefs.OpenPassthrough},
		"just not":               {snapshot.Summary{Files: 10, Bytes: 10*16*mib - 10}, fusefs.OpenStateless},
		"one model, many files":  {snapshot.Summary{Files: 100_001, Bytes: 40*gib + 100_000*8192}, fusefs.OpenStateless},
		"sizes unknown":          {snapshot.Summary{Files: 10, UnknownSizes: 10}, fusefs.OpenStateless},
		"some sizes unknown":     {snapshot.Summary{Files: 10, UnknownSizes: 9, Bytes: gib}, fusefs.OpenPassthrough},
		"shadowed files":         {snapshot.Summary{Files: 2, Shadowed: 2, Bytes: gib}, fusefs.OpenStateless},
	} {
		if got, why := daemon.ChooseBySize(c.s); got != c.want || why == "" {
			t.Errorf("%s: got %s (%s), want %s", name, got, why, c.want)
		}
	}
}

func TestOpenOfMounts(t *testing.T) {
	h := newHouse(t)
	h.put("p", "small", map[string]string{"x": "one"})
	h.put("p", "large", map[string]string{"x": strings.Repeat("0123456789abcdef", 1<<20)})
	d := h.daemon()
	for _, c := range []struct{ ref, open, verify, want, why string }{
		{"p/large:v0", "", "", "stateless", ""},
		{"p/large:v0", "stateless", "", "stateless", ""},
		{"p/large:v0", "passthrough", "", "passthrough", ""},
		{"p/large:v0", "auto", "", "passthrough", "files of 16.00 MiB on average"},
		{"p/large:v0", "auto", "strict", "stateless", "strict verification checks each block that is read from disk"},
		{"p/large:v0", "passthrough", "strict", "passthrough", ""},
		{"p/small:v0", "auto", "", "stateless", "files of 0.00 MiB on average"},
		{"p/small:v0", "passthrough", "", "passthrough", ""},
		{"p", "auto", "", "stateless", "a mount of many versions"},
		{"p", "passthrough", "", "passthrough", ""},
	} {
		req := h.request(c.ref)
		req.Open, req.Verify = c.open, c.verify
		reply, err := d.Mount(context.Background(), req)
		must(t, err)
		if reply.Open != c.want || reply.OpenReason != c.why {
			t.Errorf("%+v: opens are %q, %q", c, reply.Open, reply.OpenReason)
		}
		if s := d.Status().Mounts[0]; s.Open != c.want || s.OpenReason != c.why {
			t.Errorf("%+v: the status says %q, %q", c, s.Open, s.OpenReason)
		}
		must(t, d.Unmount(req.Dir, false))
	}
	req := h.request("p")
	req.Open = "maybe"
	_, err := d.Mount(context.Background(), req)
	wantKind(t, err, manifest.KindInvalid, "maybe", "auto", "passthrough")
}
