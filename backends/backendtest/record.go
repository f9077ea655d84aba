package backendtest

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pinfs/pinfs/backends"
	"github.com/pinfs/pinfs/manifest"
)

func recordCases() []testCase {
	return []testCase{
		{name: "record as W&B does", run: recordFields},
		{name: "record the same twice", run: recordTwice},
		{name: "record by prefix as by name", run: recordPrefix},
		{name: "record a named version", run: recordVersion},
		{name: "record a version that never was", run: recordNoVersion},
		{name: "record the time", run: recordTime},
		{name: "record true sums", run: recordSums},
		{name: "list and digest many", run: recordMany},
	}
}

func recordFields(t *testing.T, e *env) {
	for _, data := range [][]byte{noise(1234, 50), nil} {
		key := fmt.Sprintf("d/n%d", len(data))
		e.put(t, key, data)
		info, _ := e.pin(t, key)
		if want := e.Features.Digest(data); info.Digest != want {
			t.Errorf("got digest %q, want %q", info.Digest, want)
		}
		if info.Ref != e.uri(key) || info.Size != int64(len(data)) {
			t.Errorf("got ref %q, size %d, want %q, %d", info.Ref, info.Size, e.uri(key), len(data))
		}
		keys := slices.Sorted(maps.Keys(info.Extra))
		if !slices.Equal(keys, e.Features.Extra) {
			t.Errorf("got extra %v, want the keys %q", info.Extra, e.Features.Extra)
		}
		tag, ok := info.Extra[manifest.ExtraETag].(string) // HTTP's with its quotes
		if ok && strings.Trim(tag, `"`) != info.Digest {
			t.Errorf("got ETag %v, want the digest %q", tag, info.Digest)
		}
	}
}

func recordTwice(t *testing.T, e *env) {
	e.put(t, "o", noise(100, 51))
	_, first := e.pin(t, "o")
	_, second := e.pin(t, "o")
	if first != second {
		t.Errorf("got %+v and then %+v, want the same", first, second)
	}
}

func recordPrefix(t *testing.T, e *env) {
	e.put(t, "d/o", noise(100, 52))
	_, want := e.pin(t, "d/o")
	listed := e.digested(t, e.wantNames(t, e.uri("d"), "o")[0])
	if got := listed.Entry("o").Object(); got != want {
		t.Errorf("got %+v below the prefix, want %+v as by name", got, want)
	}
}

func recordTime(t *testing.T, e *env) {
	before := time.Now()
	e.put(t, "o", noise(100, 53))
	info, _ := e.pin(t, "o")
	if !e.Features.ModTime {
		if !info.ModTime.IsZero() {
			t.Errorf("got time %v, want none", info.ModTime)
		}
		return
	}
	// Sources round to seconds and have clocks of their own.
	if d := info.ModTime.Sub(before).Abs(); d > time.Minute {
		t.Errorf("got time %v, want about %v", info.ModTime, before)
	}
}

// recordSums wants every checksum that the source vouches for to be that of the
// bytes.
func recordSums(t *testing.T, e *env) {
	data := noise(70_000, 54)
	e.put(t, "o", data)
	info, obj := e.pin(t, "o")
	wantSums(t, info, data)
	info, err := e.Backend.Stat(e.ctx, obj)
	if err != nil {
		t.Fatalf("Stat: %v", err)
	}
	wantSums(t, info, data)
	body, info, err := e.Backend.Open(e.ctx, obj, 10, 10)
	if err != nil {
		t.Fatalf("Open: %v", err)
	}
	wantSums(t, info, data)
	if err := body.Close(); err != nil {
		t.Errorf("Close: %v", err)
	}
}

func wantSums(t *testing.T, info backends.Info, data []byte) {
	t.Helper()
	for _, sum := range info.Sums {
		h := sum.Alg.New()
		if h == nil {
			t.Errorf("got a checksum by %q, which nobody knows", sum.Alg)
			continue
		}
		_, _ = h.Write(data) // a hash never fails
		if want := h.Sum(nil); !bytes.Equal(sum.Value, want) {
			t.Errorf("got %s %x, want %x", sum.Alg, sum.Value, want)
		}
	}
}

// recordVersion names an old version by its id: it is recorded as it was when it
// was the current one, and its Ref has no version in it.
func recordVersion(t *testing.T, e *env) {
	want := e.putPin(t, "d/o", noise(1000, 55))
	e.put(t, "d/o", noise(2000, 56))
	info := e.wantNames(t, e.uri("d/o")+e.Features.VersionMark+want.Pin.Value, "o")[0]
	if got := info.Entry("o").Object(); got != want || !info.Single {
		t.Errorf("got %+v, Single %v, want %+v, true", got, info.Single, want)
	}
}

func recordNoVersion(t *testing.T, e *env) {
	obj := e.putPin(t, "o", noise(1000, 57))
	if err := e.DeleteVersion(obj); err != nil {
		t.Fatalf("delete version: %v", err)
	}
	e.put(t, "o", noise(1000, 58))
	_, err := e.tryList(e.uri("o") + e.Features.VersionMark + obj.Pin.Value)
	wantKind(t, err, e.uri("o"), manifest.KindNoSource)
}

// recordMany digests a listing at once. A source that gives digests needs none.
func recordMany(t *testing.T, e *env) {
	var keys []string
	for i := range 200 {
		keys = append(keys, fmt.Sprintf("d/%03d", i))
	}
	e.putAtOnce(t, keys)
	infos := e.list(t, e.Root)
	if infos[0].Digest == "" {
		if err := backends.DigestMany(e.ctx, e.Backend, infos); err != nil {
			t.Fatalf("DigestMany: %v", err)
		}
	}
	for _, i := range infos {
		if want := e.Features.Digest([]byte(i.Name)); i.Digest != want || i.Size != int64(len(i.Name)) {
			t.Errorf("%s: got digest %q, size %d, want %q, %d", i.Name, i.Digest, i.Size, want, len(i.Name))
		}
	}
}
