package main

import (
	"slices"
	"strings"
	"testing"

	"github.com/pinfs/pinfs/manifest"
)

func parseHelper(args string) (h helper, err error) {
	known := append((&app{}).mountCommand().Flags, globalFlags()...)
	err = h.parse(strings.Fields(args), known)
	return h, err
}

func TestMountHelperArguments(t *testing.T) {
	for _, c := range []struct{ args, want string }{
		{"p/a:v3 /mnt", "mount -- p/a:v3 /mnt"},
		{"none /mnt", "mount -- /mnt"},
		{"p/a /mnt -o rw", "mount -- p/a /mnt"},
		{"p/a /mnt -sn -o ro,_netdev,nofail,noatime,x-systemd.automount,X-mount.mkdir=0755,comment=x,defaults,user,noexec", "mount -- p/a /mnt"},
		{"p/a /mnt -o ro,allow_other,uid=7,gid=8,open=auto", "mount --allow-other --uid=7 --gid=8 --open=auto -- p/a /mnt"},
		{"-o fill,verify=strict p/a /mnt -o registry=file:///r,cache-dir=/c=d,offline", "mount --fill --verify=strict --registry=file:///r --cache-dir=/c=d --offline -- p/a /mnt"},
		{"p/a /mnt -t pinfs -N /proc/1/ns/mnt -o ,,", "mount -- p/a /mnt"},
		{"p/a /mnt -no allow_other=false", "mount --allow-other=false -- p/a /mnt"},
	} {
		h, err := parseHelper(c.args)
		if err != nil {
			t.Errorf("%s: %v", c.args, err)
		} else if got := h.command(); got[0] != "pinfs" || !slices.Equal(got[1:], strings.Fields(c.want)) {
			t.Errorf("%s: got %q, want %s", c.args, got, c.want)
		}
	}
	if h, err := parseHelper("p/a /mnt -fv"); err != nil || !h.fake || !h.verbose {
		t.Errorf("got %+v, %v", h, err)
	}
}

func TestMountHelperRefuses(t *testing.T) {
	for args, word := range map[string]string{
		"":                              "not a source and a directory",
		"p/a":                           "not a source and a directory",
		"p/a /mnt /other":               "not a source and a directory",
		"p/a /mnt -o":                   "needs a value",
		"p/a /mnt -x":                   "no such flag",
		"p/a /mnt -oro":                 "no such flag",
		"p/a /mnt --help":               "no such flag",
		"p/a /mnt -o open":              "open=...",
		"p/a /mnt -o allow_others":      "did you mean allow-other?",
		"p/a /mnt -o remount":           "no such option",
		"p/a /mnt -o foreground":        "no such option",
		"p/a /mnt -o help,json":         "no such option",
		"p/a /mnt -o f":                 "no such option",
		"p/a /mnt -o ro,json":           "no such option",
		"p/a /mnt -o cache_dir=/c,opne": "did you mean open?",
	} {
		_, err := parseHelper(args)
		if manifest.KindOf(err) != manifest.KindInvalid || !strings.Contains(err.Error(), word) {
			t.Errorf("%q: got %v, want %q", args, err, word)
		}
	}
}
