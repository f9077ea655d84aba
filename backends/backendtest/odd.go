package backendtest

import (
	"strings"
	"testing"
)

// oddCases has a case for each kind of key that something on the way may mangle.
func oddCases() []testCase {
	keys := []struct{ name, key string }{
		{"space", "a b/c  d.txt"},
		{"outer spaces", " a / b "},
		{"plus", "a+b/c+d"},
		{"percent", "100%/5%"},
		{"percent code", "a%2Fb%20c"},
		{"question mark", "what?/really?x=1&y=2"},
		{"version query", "a?versionId=abc/b"},
		{"hash", "a#1/b#2"},
		{"composed Unicode", "caf\u00e9/\u00fc"},
		{"decomposed Unicode", "cafe\u0301/u\u0308"},
		{"emoji", "\U0001F600/日本語"},
		{"quotes", `it's/"so"`},
		{"XML", "<a>&amp;&lt;/b>"},
		{"leading dot", ".hidden/..a/...b"},
		{"leading dash", "-rf/--help"},
		{"backslash", `a\b/c\`},
		{"colon and star", "a:b*c|d/e=f;g,h$i@j!k(l)"},
		{"200 characters", strings.Repeat("n", 200) + "/" + strings.Repeat("m", 200)},
		{"newline and tab", "a\nb\tc"},
		{"tilde", "~/~root"},
		{"doubled slash", "a//b"},
		{"one byte", "k"},
		{"255 bytes", strings.Repeat("n", 255)},
		{"bytes like Latin-1", "caf\u00c3\u00a9/\u00e2\u0082\u00ac\u00ff"},
		{"right to left", "\u05e2\u05d1\u05e8/\u0645\u0644\u0641.txt"},
		{"trailing dots", "a./b.."},
		{"dot component", "a/./b"},
		{"two-dot component", "a/../b"},
	}
	cases := make([]testCase, 0, len(keys)+2)
	for _, k := range keys {
		cases = append(cases, testCase{name: "odd key: " + k.name, run: func(t *testing.T, e *env) { oddKey(t, e, k.key) }})
	}
	return append(cases,
		testCase{name: "odd key: 1,024 bytes", run: oddLong},
		testCase{name: "odd keys side by side", run: oddTwins},
		testCase{name: "odd prefix", run: oddPrefix})
}

func oddKey(t *testing.T, e *env, key string) {
	data := []byte("data of " + key)
	e.put(t, key, data)
	listed := e.wantNames(t, e.Root, key)[0]
	if listed.Ref != e.uri(key) {
		t.Errorf("got Ref %q, want %q", listed.Ref, e.uri(key))
	}
	e.wantBytes(t, e.digested(t, listed).Entry(key).Object(), 0, -1, data)
	info, obj := e.pin(t, key)
	if !info.Single {
		t.Error("got Single false for the object's own URI")
	}
	if stat, err := e.Backend.Stat(e.ctx, obj); err != nil || stat.Size != int64(len(data)) {
		t.Errorf("Stat: got size %d, error %v, want %d", stat.Size, err, len(data))
	}
}

// oddTwins has keys that become one another when decoded, folded or composed.
func oddTwins(t *testing.T, e *env) {
	keys := []string{"x y", "x+y", "x%20y", "x%2By", "X Y", "caf\u00e9", "cafe\u0301"}
	e.putAll(t, keys...)
	for _, i := range e.wantNames(t, e.Root, append([]string(nil), keys...)...) {
		obj := e.digested(t, i).Entry(i.Name).Object()
		e.wantBytes(t, obj, 0, -1, []byte("data of "+i.Name))
	}
}

func oddPrefix(t *testing.T, e *env) {
	e.putAll(t, "a+b%20 #?/x/y", "a+b%20 #/x", "a b%20 #?/x")
	e.wantNames(t, e.uri("a+b%20 #?"), "x/y")
	e.wantNames(t, e.uri("a+b%20 #?/"), "x/y")
}

// oddLong has the longest key that S3, GCS and Azure take. All behind the bucket
// counts.
func oddLong(t *testing.T, e *env) {
	const longest = 1024
	_, place, _ := strings.Cut(e.Root, "://")
	_, below, _ := strings.Cut(place, "/")
	key := strings.Repeat("long/", longest/5)[:longest-len(below)-1]
	oddKey(t, e, strings.TrimSuffix(key, "/")+strings.Repeat("x", len(key)-len(strings.TrimSuffix(key, "/"))))
}
