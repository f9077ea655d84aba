package manifest_test

import (
	"bytes"
	"fmt"
	"io"
	"reflect"
	"runtime"
	"strings"
	"testing"

	"github.com/pinfs/pinfs/manifest"
)

// generated gives n entries as a listing of S3 would.
func generated(n int) func(func(manifest.Entry, error) bool) {
	return func(yield func(manifest.Entry, error) bool) {
		for i := range n {
			path := fmt.Sprintf("train/%04d/image-%08d.png", i/1000, i)
			tag := fmt.Sprintf("%032x", i)
			e := manifest.Entry{Path: path, Digest: tag, Ref: "s3://bucket/datasets/vision/" + path, Size: int64(i),
				Extra: map[string]any{"etag": tag, "versionID": fmt.Sprintf("%032d", i)}}
			if !yield(e, nil) {
				return
			}
		}
	}
}

// stream is the JSON of n generated entries, made while it is read.
func stream(n int) io.ReadCloser {
	r, w := io.Pipe()
	go func() { w.CloseWithError(manifest.Encode(w, manifest.DefaultHeader(), generated(n))) }()
	return r
}

// Entries that lie across the ends of reads, of any length, come out whole.
func TestDecodeAcrossReads(t *testing.T) {
	var want []manifest.Entry
	for i := range 3_000 {
		path := fmt.Sprintf("%s/%d", strings.Repeat(`\"\\`, i%37+1), i)
		want = append(want, manifest.Entry{Path: path, Digest: strings.Repeat(`"\`, i%101+1), Size: int64(i)})
	}
	text, err := encode(manifest.DefaultHeader(), want)
	if err != nil {
		t.Fatal(err)
	}
	_, got, err := decode(t, text)
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Fatalf("got %d entries (%v) that differ, want %d", len(got), err, len(want))
	}
}

func heap() int64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

func TestDecodeMemoryIsFlat(t *testing.T) {
	const entries, bound = 200_000, 4 << 20
	r := stream(entries)
	defer r.Close()
	before, most, count := heap(), int64(0), 0
	_, err := manifest.Decode(r, func(manifest.Entry) error {
		if count++; count%20_000 == 0 {
			most = max(most, heap()-before)
		}
		return nil
	})
	if err != nil || count != entries {
		t.Fatalf("got %d entries (%v), want %d", count, err, entries)
	}
	if most > bound {
		t.Errorf("heap grew by %d bytes, want at most %d", most, bound)
	}
}

// Whatever the text, no more than a few times the largest value is held.
func TestDecodeMemoryIsBounded(t *testing.T) {
	const bound = 16 << 20
	for _, start := range []string{`{"`, `{"x":"`, `{"x":[[`, `{"storagePolicyConfig":{`, `{"contents":{"a":{"digest":"`, `{"contents":{"a":{"extra":[`} {
		t.Run(start, func(t *testing.T) {
			before := heap()
			var m runtime.MemStats
			r := io.MultiReader(&repeat{text: start, times: 1}, &repeat{text: "[1,2,", times: 50 << 20})
			_, err := manifest.Decode(r, func(manifest.Entry) error { return nil })
			runtime.ReadMemStats(&m) // without a collection: all that was taken counts
			checkError(t, err, "(at byte")
			if grown := int64(m.HeapAlloc) - before; grown > bound {
				t.Errorf("heap grew by %d bytes, want at most %d", grown, bound)
			}
		})
	}
}

// repeat reads as text, so many times over.
type repeat struct {
	text  string
	times int
	at    int
}

func (r *repeat) Read(p []byte) (int, error) {
	n := 0
	for n < len(p) && r.times > 0 {
		c := copy(p[n:], r.text[r.at:])
		n += c
		if r.at += c; r.at == len(r.text) {
			r.at = 0
			r.times--
		}
	}
	if n == 0 {
		return 0, io.EOF
	}
	return n, nil
}

// countWriter counts what Encode gives.
type countWriter int64

func (c *countWriter) Write(p []byte) (int, error) {
	*c += countWriter(len(p))
	return len(p), nil
}

func BenchmarkDecode(b *testing.B) {
	const entries = 10_000
	text, err := io.ReadAll(stream(entries))
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := manifest.Decode(bytes.NewReader(text), func(manifest.Entry) error { return nil }); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(entries)*float64(b.N)/b.Elapsed().Seconds(), "entries/s")
}

func BenchmarkEncode(b *testing.B) {
	const entries = 10_000
	var all []manifest.Entry
	for e := range generated(entries) {
		all = append(all, e)
	}
	b.ReportAllocs()
	for b.Loop() {
		var n countWriter
		err := manifest.Encode(&n, manifest.DefaultHeader(), func(yield func(manifest.Entry, error) bool) {
			for _, e := range all {
				if !yield(e, nil) {
					return
				}
			}
		})
		if err != nil {
			b.Fatal(err)
		}
		b.SetBytes(int64(n))
	}
}
