package manifest_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"reflect"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/pinfs/pinfs/manifest"
)

// document puts contents into a manifest.
func document(contents string) string {
	return `{"version":1,"storagePolicy":"wandb-storage-policy-v1","storagePolicyConfig":{"storageLayout":"V2"},"contents":` + contents + `}`
}

func decode(t testing.TB, text string) (manifest.Header, []manifest.Entry, error) {
	t.Helper()
	var all []manifest.Entry
	h, err := manifest.Decode(strings.NewReader(text), func(e manifest.Entry) error {
		all = append(all, e)
		return nil
	})
	return h, all, err
}

func encode(h manifest.Header, entries []manifest.Entry) (string, error) {
	var b bytes.Buffer
	err := manifest.Encode(&b, h, func(yield func(manifest.Entry, error) bool) {
		for _, e := range entries {
			if !yield(e, nil) {
				return
			}
		}
	})
	return b.String(), err
}

func TestDecodeFields(t *testing.T) {
	text := document(`{
		"a.png": {"digest":"e1","ref":"s3://b/d/a.png","size":10,"extra":{"etag":"e1","versionID":"v1"}},
		"g": {"size":0,"digest":"CKih16GjycICEAE=","ref":"gs://b/g","extra":{"versionID":1663006547236893812}},
		"own": {"digest":"XUFAKrxLKna5cZ2REBfFkg==","birthArtifactID":"QXJ0","size":3,"local_path":"/tmp/x","skip_cache":true},
		"bare": {"digest":"d"},
		"nulls": {"digest":"d","ref":null,"size":null,"birthArtifactID":null,"extra":null,"local_path":null,"skip_cache":null},
		"later": {"new":[{"x":[1,{}]}],"digest":"d","Digest":"no","SIZE":"no","extra":{}},
		"caf\u00e9/\ud83d\ude00 \"q\"": {"digest":"\u003c&>\/"}
	}`)
	want := []manifest.Entry{
		{Path: "a.png", Digest: "e1", Ref: "s3://b/d/a.png", Size: 10, Extra: map[string]any{"etag": "e1", "versionID": "v1"}},
		{Path: "g", Digest: "CKih16GjycICEAE=", Ref: "gs://b/g", Extra: map[string]any{"versionID": json.Number("1663006547236893812")}},
		{Path: "own", Digest: "XUFAKrxLKna5cZ2REBfFkg==", BirthArtifactID: "QXJ0", Size: 3, SkipCache: true},
		{Path: "bare", Digest: "d", Size: manifest.SizeUnknown},
		{Path: "nulls", Digest: "d", Size: manifest.SizeUnknown},
		{Path: "later", Digest: "d", Size: manifest.SizeUnknown},
		{Path: "caf\u00e9/\U0001f600 \"q\"", Digest: "<&>/", Size: manifest.SizeUnknown},
	}
	for name, wrap := range map[string]func(io.Reader) io.Reader{
		"whole":           func(r io.Reader) io.Reader { return r },
		"byte by byte":    iotest.OneByteReader,
		"end with data":   iotest.DataErrReader,
		"halves of reads": iotest.HalfReader,
	} {
		t.Run(name, func(t *testing.T) {
			var got []manifest.Entry
			h, err := manifest.Decode(wrap(strings.NewReader(text)), func(e manifest.Entry) error {
				got = append(got, e)
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(got, want) {
				t.Errorf("got  %+v\nwant %+v", got, want)
			}
			if !reflect.DeepEqual(h, manifest.DefaultHeader()) {
				t.Errorf("got header %+v, want %+v", h, manifest.DefaultHeader())
			}
		})
	}
}

func TestDecodeDocuments(t *testing.T) {
	deep := func(open, close string, n int) string { return strings.Repeat(open, n) + strings.Repeat(close, n) }
	big := strings.Repeat("x", 1<<20)
	for _, c := range []struct{ name, text, want string }{ // want: "" or part of the error
		{"no entries", document(`{}`), ""},
		{"contents first", `{"contents":{"a":{"digest":"d"}},"storagePolicyConfig":{},"storagePolicy":"p","version":1}`, ""},
		{"space all over", " \r\n\t{ \"version\" : 1 , \"storagePolicy\" : \"p\" , \"storagePolicyConfig\" : { } , \"contents\" : { \"a\" : { \"digest\" : \"d\" } } } \n ", ""},
		{"unknown key", `{"isTemporary":false,` + document(`{}`)[1:], ""},
		{"unknown tree", `{"x":[1,[{"y":[null,"]}"]}],{}, []],` + document(`{}`)[1:], ""},
		{"huge unknown list", `{"x":[` + strings.Repeat(`"0123456789abcdef",`, 1<<17) + `0],` + document(`{}`)[1:], ""},
		{"extra as deep as allowed", document(`{"a":{"digest":"d","extra":{"x":` + deep("[", "]", 63) + `}}}`), ""},

		{"empty", ``, "ends early"},
		{"cut in a key", document(`{}`)[:5], "ends early"},
		{"cut in an entry", document(`{"a":{"digest":"d"}}`)[:115], "ends early"},
		{"cut before the end", strings.TrimSuffix(document(`{}`), "}"), "ends early"},
		{"no manifest", `[]`, "not a manifest"},
		{"no JSON", `<html>`, "not a manifest"},
		{"byte order mark", "\ufeff" + document(`{}`), "byte order mark"},
		{"UTF-16", "\xff\xfe{\x00}\x00", "byte order mark"},
		{"no version", strings.Replace(document(`{}`), `"version":1,`, ``, 1), "'version' is missing"},
		{"version 2", strings.Replace(document(`{}`), `:1`, `:2`, 1), "version 2 is unknown"},
		{"version as text", strings.Replace(document(`{}`), `:1`, `:"1"`, 1), `version "1" is unknown`},
		{"version null", strings.Replace(document(`{}`), `:1`, `:null`, 1), `version null is unknown`},
		{"version last and wrong", `{"contents":{"a":{"digest":"d"}},"storagePolicyConfig":{},"storagePolicy":"p","version":3}`, "version 3"},
		{"no policy", `{"version":1,"storagePolicyConfig":{},"contents":{}}`, "'storagePolicy' is missing"},
		{"policy of a wrong type", `{"version":1,"storagePolicy":1,"storagePolicyConfig":{},"contents":{}}`, "storagePolicy must be a string"},
		{"no config", `{"version":1,"storagePolicy":"p","contents":{}}`, "'storagePolicyConfig' is missing"},
		{"config of a wrong type", `{"version":1,"storagePolicy":"p","storagePolicyConfig":[],"contents":{}}`, "storagePolicyConfig must be an object"},
		{"no contents", `{"version":1,"storagePolicy":"p","storagePolicyConfig":{}}`, "'contents' is missing"},
		{"contents of a wrong type", document(`[]`), "contents must be an object"},
		{"key twice", `{"contents":{},` + document(`{}`)[1:], "'contents' occurs twice"},
		{"escaped key twice", `{"\u0063ontents":{},` + document(`{}`)[1:], "'contents' occurs twice"},
		{"case of a key", strings.Replace(document(`{}`), `contents`, `Contents`, 1), "'contents' is missing"},
		{"behind the end", document(`{}`) + ` {}`, "behind the end"},
		{"NUL behind the end", document(`{}`) + "\x00", "behind the end"},
		{"trailing comma", document(`{"a":{"digest":"d"},}`), "expected a key"},
		{"two commas", document(`{"a":{"digest":"d"},,"b":{"digest":"d"}}`), "expected a key"},
		{"no comma", document(`{"a":{"digest":"d"} "b":{"digest":"d"}}`), "expected ','"},
		{"no colon", document(`{"a" {"digest":"d"}}`), "expected ':'"},
		{"no value", document(`{"a":}`), "not JSON"},
		{"comment", document(`{/* */}`), "expected a key"},
		{"brackets that do not match", document(`{"a":{"digest":"d"]}}`), "not JSON"},
		{"leading zero", document(`{"a":{"digest":"d","size":01}}`), "not JSON"},
		{"raw control character", document("{\"a\nb\":{\"digest\":\"d\"}}"), "not JSON"},
		{"bad escape", document(`{"a\x":{"digest":"d"}}`), "not JSON"},
		{"unknown value is not JSON", `{"x":[tru],` + document(`{}`)[1:], "not JSON"},
		{"unknown list with a trailing comma", `{"x":[1,],` + document(`{}`)[1:], "not JSON"},
		{"unknown tree too deep", `{"x":` + deep("[", "]", 100) + `,` + document(`{}`)[1:], "more than 64 levels"},
		{"millions of brackets", `{"x":` + strings.Repeat("[", 3<<20), "more than 64 levels"},
		{"brackets without end in an entry", document(`{"a":` + strings.Repeat("[", 3<<20)), "more than 1048576 bytes"},
		{"text without end", document(`{"a":{"digest":"` + strings.Repeat("x", 3<<20)), "more than 1048576 bytes"},
		{"key without end", `{"` + strings.Repeat("x", 3<<20), "more than 1048576 bytes"},
		{"config too big", `{"storagePolicyConfig":{"x":"` + big + `"}}`, "more than 1048576 bytes"},
		{"config too deep", `{"storagePolicyConfig":{"x":` + deep("[", "]", 64) + `}}`, "more than 64 levels"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, _, err := decode(t, c.text)
			checkError(t, err, c.want)
		})
	}
}

func TestDecodeEntries(t *testing.T) {
	deep := func(n int) string { return strings.Repeat(`{"x":`, n) + "1" + strings.Repeat("}", n) }
	for _, c := range []struct{ name, contents, want string }{
		{"no digest", `{"a":{"size":1}}`, `"a": no digest`},
		{"empty digest", `{"a":{"digest":""}}`, `"a": no digest`},
		{"null digest", `{"a":{"digest":null}}`, `"a": no digest`},
		{"digest of a wrong type", `{"a":{"digest":1}}`, `"a": digest: must be a string`},
		{"ref of a wrong type", `{"a":{"digest":"d","ref":[]}}`, `"a": ref: must be a string`},
		{"extra of a wrong type", `{"a":{"digest":"d","extra":"x"}}`, `"a": extra: must be an object`},
		{"skip_cache of a wrong type", `{"a":{"digest":"d","skip_cache":1}}`, `"a": skip_cache: must be true or false`},
		{"entry of a wrong type", `{"a":"d"}`, `"a": entry must be an object`},
		{"entry null", `{"a":null}`, `"a": entry must be an object`},
		{"negative size", `{"a":{"digest":"d","size":-1}}`, `"a": size: must be a whole number`},
		{"minus zero", `{"a":{"digest":"d","size":-0}}`, `"a": size: must be a whole number`},
		{"fraction", `{"a":{"digest":"d","size":1.0}}`, `"a": size: must be a whole number`},
		{"exponent", `{"a":{"digest":"d","size":1e3}}`, `"a": size: must be a whole number`},
		{"size as text", `{"a":{"digest":"d","size":"1"}}`, `"a": size: must be a whole number`},
		{"2^63", `{"a":{"digest":"d","size":9223372036854775808}}`, `"a": size: must be a whole number`},
		{"2^63-1", `{"a":{"digest":"d","size":9223372036854775807}}`, ""},
		{"digest twice", `{"a":{"digest":"d","digest":"d"}}`, `"a": key 'digest' occurs twice`},
		{"size twice, escaped", `{"a":{"digest":"d","size":1,"\u0073ize":2}}`, `"a": key 'size' occurs twice`},
		{"extra key twice", `{"a":{"digest":"d","extra":{"etag":"1","etag":"2"}}}`, `"a": extra: key "etag" occurs twice`},
		{"extra too deep", `{"a":{"digest":"d","extra":` + deep(65) + `}}`, `"a": extra: more than 64 levels`},
		{"too big", `{"a":{"digest":"d","extra":{"x":"` + strings.Repeat("x", 1<<20) + `"}}}`, `"a": a value of more than 1048576 bytes`},
		{"nearly too big", `{"a":{"digest":"d","extra":{"x":"` + strings.Repeat("x", 1<<20-40) + `"}}}`, ""},
		{"not UTF-8 in a path", "{\"a\xff\":{\"digest\":\"d\"}}", "not UTF-8"},
		{"not UTF-8 in a digest", "{\"a\":{\"digest\":\"\xc3\"}}", `"a": text that is not UTF-8`},
		{"UTF-8 of a surrogate", "{\"a\xed\xa0\x80\":{\"digest\":\"d\"}}", "not UTF-8"},
		{"overlong UTF-8", "{\"a\xc0\xafb\":{\"digest\":\"d\"}}", "not UTF-8"},
		{"high half", `{"a\ud800":{"digest":"d"}}`, "half of a surrogate pair"},
		{"low half", `{"a\udc00":{"digest":"d"}}`, "half of a surrogate pair"},
		{"halves the wrong way", `{"a\udc00\ud800":{"digest":"d"}}`, "half of a surrogate pair"},
		{"halves apart", `{"a\ud83d \ude00":{"digest":"d"}}`, "half of a surrogate pair"},
		{"two high halves", `{"a\ud83d\ud83d\ude00":{"digest":"d"}}`, "half of a surrogate pair"},
		{"high half before an escape", `{"a\ud83d\n":{"digest":"d"}}`, "half of a surrogate pair"},
		{"half in a digest", `{"a":{"digest":"\ud800"}}`, `"a": digest: a \u escape is one half`},
		{"half in extra", `{"a":{"digest":"d","extra":{"x":["\udfff"]}}}`, `"a": extra: a \u escape is one half`},
		{"half in a key", `{"a":{"digest":"d","\ud800":1}}`, `"a": key: a \u escape is one half`},
		{"escaped backslash before u", `{"a\\ud800":{"digest":"d"}}`, ""},
		{"U+FFFD itself", `{"a\ufffd` + "\ufffd" + `":{"digest":"d"}}`, ""},
		{"upper case hex", `{"\uD83D\uDE00":{"digest":"d"}}`, ""},
		{"dots", `{"a/../b":{"digest":"d"}}`, `"a/../b": path with a '..' component`},
		{"escaped dots", `{"a/\u002e\u002e/b":{"digest":"d"}}`, `"a/../b": path with a '..' component`},
		{"absolute", `{"/etc/passwd":{"digest":"d"}}`, `"/etc/passwd": absolute path`},
		{"NUL", `{"a\u0000b":{"digest":"d"}}`, `"a\x00b": path with a NUL byte`},
		{"empty path", `{"":{"digest":"d"}}`, `empty path`},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, _, err := decode(t, document(c.contents))
			checkError(t, err, c.want)
		})
	}
}

func checkError(t *testing.T, err error, want string) {
	t.Helper()
	if want == "" {
		if err != nil {
			t.Fatalf("got %v, want no error", err)
		}
		return
	}
	if err == nil || manifest.KindOf(err) != manifest.KindInvalid || !strings.Contains(err.Error(), want) {
		t.Fatalf("got %v (%v), want KindInvalid with %q", err, manifest.KindOf(err), want)
	}
	if len(err.Error()) > 1000 {
		t.Errorf("error of %d bytes is no line for a person", len(err.Error()))
	}
}

func TestDecodePassesErrorsOn(t *testing.T) {
	stop := errors.New("stop")
	calls := 0
	_, err := manifest.Decode(strings.NewReader(document(`{"a":{"digest":"d"},"b":{"digest":"d"}}`)), func(manifest.Entry) error {
		calls++
		return stop
	})
	if err != stop || calls != 1 {
		t.Errorf("got %v after %d calls, want add's own error after 1", err, calls)
	}
	broken := io.MultiReader(strings.NewReader(document(`{"a":{"digest":"d"}}`)[:115]), iotest.ErrReader(stop))
	_, err = manifest.Decode(broken, func(manifest.Entry) error { return nil })
	if !errors.Is(err, stop) || manifest.KindOf(err) == manifest.KindInvalid {
		t.Errorf("got %v, want the reader's error", err)
	}
	_, err = manifest.Decode(idleReader{}, func(manifest.Entry) error { return nil })
	if !errors.Is(err, io.ErrNoProgress) {
		t.Errorf("got %v, want %v", err, io.ErrNoProgress)
	}
}

// idleReader gives nothing, for ever.
type idleReader struct{}

func (idleReader) Read([]byte) (int, error) { return 0, nil }

func TestEncodeText(t *testing.T) {
	got, err := encode(manifest.DefaultHeader(), []manifest.Entry{
		{Path: "a&b<c>.png", Digest: "e", Ref: "s3://b/a&b", Size: 0, BirthArtifactID: "x", SkipCache: true,
			Extra: map[string]any{"versionID": json.Number("1663006547236893812"), "etag": "e"}},
		{Path: "b \"\\\n\x01\u2028\u00e9", Digest: "d", Size: manifest.SizeUnknown, Extra: map[string]any{}},
	})
	want := `{"version":1,"storagePolicy":"wandb-storage-policy-v1","storagePolicyConfig":{"storageLayout":"V2"},"contents":{` +
		`"a&b<c>.png":{"digest":"e","ref":"s3://b/a&b","size":0,"birthArtifactID":"x","extra":{"etag":"e","versionID":1663006547236893812},"skip_cache":true},` +
		`"b \"\\\n\u0001` + "\u2028\u00e9" + `":{"digest":"d"}}}` + "\n"
	if err != nil || got != want {
		t.Errorf("got  %s (%v)\nwant %s", got, err, want)
	}
	if got, err := encode(manifest.Header{}, nil); err != nil || got != `{"version":1,"storagePolicy":"","storagePolicyConfig":{},"contents":{}}`+"\n" {
		t.Errorf("got %s (%v), want an empty manifest", got, err)
	}
}

func TestEncodeRefuses(t *testing.T) {
	deep := any("x")
	for range 64 {
		deep = []any{deep}
	}
	with := func(v any) manifest.Entry {
		return manifest.Entry{Path: "a", Digest: "d", Extra: map[string]any{"x": v}}
	}
	for _, c := range []struct {
		name  string
		entry manifest.Entry
		want  string
	}{
		{"path not UTF-8", manifest.Entry{Path: "a\xff", Digest: "d"}, `"a\xff": path: not UTF-8`},
		{"bad path", manifest.Entry{Path: "../a", Digest: "d"}, `"../a": path with a '..' component`},
		{"no digest", manifest.Entry{Path: "a"}, `"a": entry: no digest`},
		{"digest not UTF-8", manifest.Entry{Path: "a", Digest: "\xff"}, `"a": entry: not UTF-8`},
		{"ref not UTF-8", manifest.Entry{Path: "a", Digest: "d", Ref: "file:///\xff"}, `"a": entry: not UTF-8`},
		{"negative size", manifest.Entry{Path: "a", Digest: "d", Size: -2}, `"a": entry: size -2 is negative`},
		{"extra not UTF-8", with("\xff"), `"a": entry: not UTF-8`},
		{"extra too deep", with(deep), `"a": entry: more than 64 levels`},
		{"extra too big", with(strings.Repeat("x", 1<<20)), `"a": entry: more than 1048576 bytes`},
		{"extra of a Go type", with(struct{}{}), `"a": entry: a value of Go type struct {}`},
		{"a number that is none", with(json.Number("1,\"y\":2")), `"a": entry: "1,\"y\":2" is no number`},
		{"an empty number", with(json.Number("")), `is no number`},
		{"a number that is text", with(json.Number("null")), `is no number`},
		{"space in a number", with(json.Number("1 ")), `is no number`},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := encode(manifest.DefaultHeader(), []manifest.Entry{c.entry})
			checkError(t, err, c.want)
		})
	}
}

func TestEncodePassesErrorsOn(t *testing.T) {
	stop := errors.New("stop")
	err := manifest.Encode(io.Discard, manifest.Header{}, func(yield func(manifest.Entry, error) bool) {
		if yield(manifest.Entry{}, stop) {
			t.Error("asked for more after an error")
		}
	})
	if err != stop {
		t.Errorf("got %v, want the iterator's own error", err)
	}
	err = manifest.Encode(fullDisk{stop}, manifest.Header{}, func(func(manifest.Entry, error) bool) {})
	if !errors.Is(err, stop) {
		t.Errorf("got %v, want the writer's error", err)
	}
}

type fullDisk struct{ err error }

func (d fullDisk) Write([]byte) (int, error) { return 0, d.err }

func TestRoundTrip(t *testing.T) {
	text := document(`{"a":{"digest":"d","ref":"gs://b/a","size":0,"birthArtifactID":"b","skip_cache":true,
		"extra":{"n":1.10e+5,"big":123456789012345678901234567890,"neg":-0.0,"t":true,"f":false,"z":null,"l":[],"o":{},
			"deep":[{"x":[[1,"2",{"y":null}]]}],"\u0000<>&":"\u2028\u0000\t"}}}`)
	h, first, err := decode(t, text)
	if err != nil {
		t.Fatal(err)
	}
	again, err := encode(h, first)
	if err != nil {
		t.Fatal(err)
	}
	for _, number := range []string{"1.10e+5", "123456789012345678901234567890", "-0.0"} {
		if !strings.Contains(again, number) {
			t.Errorf("number %s is gone from %s", number, again)
		}
	}
	h2, second, err := decode(t, again)
	if err != nil || !reflect.DeepEqual(first, second) || !reflect.DeepEqual(h, h2) {
		t.Errorf("got  %+v %+v (%v)\nwant %+v %+v", h2, second, err, h, first)
	}
}
