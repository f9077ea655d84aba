package backends_test

import (
	"context"
	"errors"
	"io"
	"math"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/pinfs/pinfs/backends"
	"github.com/pinfs/pinfs/manifest"
)

func TestSpan(t *testing.T) {
	for _, c := range []struct {
		span   backends.Span
		header string
		of     int64 // 100 bytes
		whole  bool
	}{
		{backends.Span{0, -1}, "bytes=0-", 100, true},
		{backends.Span{0, 100}, "bytes=0-99", 100, true},
		{backends.Span{0, 101}, "bytes=0-100", 100, true},
		{backends.Span{0, 99}, "bytes=0-98", 99, false},
		{backends.Span{1, -1}, "bytes=1-", 99, false},
		{backends.Span{90, 20}, "bytes=90-109", 10, false},
		{backends.Span{100, 1}, "bytes=100-100", 0, false},
		{backends.Span{200, -1}, "bytes=200-", 0, false},
		{backends.Span{99, math.MaxInt64}, "bytes=99-", 1, false}, // the sum is too large
		{backends.Span{1, math.MaxInt64 - 1}, "bytes=1-9223372036854775806", 99, false},
	} {
		if got := c.span.Header(); got != c.header {
			t.Errorf("%v: %q, want %q", c.span, got, c.header)
		}
		if of, whole := c.span.Of(100), c.span.Whole(100); of != c.of || whole != c.whole {
			t.Errorf("%v: %d bytes, whole %v", c.span, of, whole)
		}
	}
	if (backends.Span{0, 5}).Whole(manifest.SizeUnknown) || !(backends.Span{0, -1}).Whole(manifest.SizeUnknown) {
		t.Error("a size that is not known is not the end")
	}
}

func TestParseSent(t *testing.T) {
	for _, c := range []struct {
		text   string
		length int64
		want   backends.Sent
	}{
		{"", 10, backends.Sent{0, 10, 10}},
		{"", -1, backends.Sent{0, -1, -1}},
		{"bytes 2-4/10", 3, backends.Sent{2, 3, 10}},
		{"bytes 2-4/10", -1, backends.Sent{2, 3, 10}},
		{"bytes 2-4/10", 7, backends.Sent{2, 7, 10}},
		{"bytes 2-4/*", 3, backends.Sent{2, 3, -1}},
		{"bytes 0-0/1", 1, backends.Sent{0, 1, 1}},
		{"bytes */10", 0, backends.Sent{-1, 0, -1}},
		{"bytes 4-2/10", 3, backends.Sent{-1, 3, -1}},
		{"bytes -4/10", 3, backends.Sent{-1, 3, -1}},
		{"lines 2", 3, backends.Sent{-1, 3, -1}},
		{"bytes 2-4", 3, backends.Sent{2, 3, -1}},
		{"bytes 99999999999999999999-4/5", 3, backends.Sent{-1, 3, -1}},
	} {
		if got := backends.ParseSent(c.text, c.length); got != c.want {
			t.Errorf("%q, %d: got %+v, want %+v", c.text, c.length, got, c.want)
		}
	}
}

// TestSpanCheck: an answer is what was asked for, or the error says what is not.
func TestSpanCheck(t *testing.T) {
	const bad = -1
	for _, c := range []struct {
		span backends.Span
		size int64
		sent backends.Sent
		want int64
		word string
	}{
		{backends.Span{2, 3}, 10, backends.Sent{2, 3, 10}, 3, ""},
		{backends.Span{8, 3}, 10, backends.Sent{8, 2, 10}, 2, ""},
		{backends.Span{0, -1}, 10, backends.Sent{0, 10, 10}, 10, ""},
		{backends.Span{0, -1}, manifest.SizeUnknown, backends.Sent{0, 10, 10}, 10, ""},
		{backends.Span{0, -1}, 10, backends.Sent{0, -1, -1}, 10, ""},
		{backends.Span{2, 3}, 10, backends.Sent{2, -1, -1}, 3, ""},
		{backends.Span{0, 3}, 10, backends.Sent{0, 10, 10}, 3, ""}, // the range was ignored: read less
		{backends.Span{2, 3}, 10, backends.Sent{0, 10, 10}, bad, "another offset than asked for: expected '2' but found '0'"},
		{backends.Span{0, 3}, 10, backends.Sent{1, 3, 10}, bad, "another offset"},
		{backends.Span{2, 3}, 10, backends.Sent{-1, 3, 10}, bad, "no Content-Range"},
		{backends.Span{2, 3}, 10, backends.Sent{2, 2, 10}, bad, "another length than asked for: expected '3 bytes' but found '2 bytes'"},
		{backends.Span{2, 3}, 10, backends.Sent{2, 4, 10}, bad, "another length"},
		{backends.Span{0, 3}, 10, backends.Sent{0, 5, 10}, bad, "another length"},
		{backends.Span{2, 3}, 11, backends.Sent{2, 3, 10}, bad, "its size is not the recorded one: expected '11 bytes' but found '10 bytes'"},
		{backends.Span{2, 3}, manifest.SizeUnknown, backends.Sent{2, 3, -1}, bad, "does not tell"},
	} {
		got, err := c.span.Check("open", manifest.Object{Ref: "x://b/o", Size: c.size}, c.sent)
		if c.want == bad {
			if manifest.KindOf(err) != manifest.KindCorrupt || !strings.Contains(err.Error(), "open: x://b/o: ") || !strings.Contains(err.Error(), c.word) {
				t.Errorf("%+v: got %v, want %q", c, err, c.word)
			}
		} else if got != c.want || err != nil {
			t.Errorf("%+v: got %d, %v", c, got, err)
		}
	}
}

func TestParseRetryAfter(t *testing.T) {
	soon := time.Now().Add(time.Hour).UTC().Format(http.TimeFormat)
	for _, c := range []struct {
		name, value string
		least, most time.Duration
	}{
		{"Retry-After", "7", 7 * time.Second, 7 * time.Second},
		{"Retry-After", "", 0, 0},
		{"Retry-After", "-3", 0, 0},
		{"Retry-After", "junk", 0, 0},
		{"Retry-After", "99999999999999999999", 0, 0},
		{"Retry-After", "9999999999", 24 * time.Hour, 1 << 20 * time.Second},
		{"Retry-After", "Fri, 01 Jan 2010 00:00:00 GMT", 0, 0},
		{"Retry-After", soon, 58 * time.Minute, time.Hour},
		{"X-Ms-Retry-After-Ms", "1500", 1500 * time.Millisecond, 1500 * time.Millisecond},
		{"Retry-After-Ms", "20", 20 * time.Millisecond, 20 * time.Millisecond},
		{"Retry-After-Ms", "9223372036854775807", time.Hour, 1 << 20 * time.Second},
	} {
		h := http.Header{}
		h.Set(c.name, c.value)
		if got := backends.ParseRetryAfter(h); got < c.least || got > c.most {
			t.Errorf("%s: %q: got %v, want %v", c.name, c.value, got, c.most)
		}
	}
}

func TestOneLine(t *testing.T) {
	for text, want := range map[string]string{
		"plain":                    "plain",
		" a\r\n\tb\x00\x1b[1mc  d": "a b [1mc d",
		"https://h/x?sv=1&sig=AbC%2F&se=2 failed":   "https://h/x?sv=1&sig=…&se=2 failed",
		"X-Amz-Signature=0af&X-Amz-Credential=AK/1": "X-Amz-Signature=…&X-Amz-Credential=…",
		"Signature=1, sIg=2; signature=3":           "Signature=…, sIg=…; signature=…",
		"http://user:pass@host/a and http://b@c":    "http://…@host/a and http://…@c",
		"sent Authorization: AWS4 Credential=a, b":  "sent Authorization: …",
		"AccountName=n;AccountKey=abc==;x":          "AccountName=n;AccountKey=…;x",
		"a sign, a signature, mail@example.org":     "a sign, a signature, mail@example.org",
	} {
		if got := backends.OneLine(text); got != want {
			t.Errorf("%q: got %q, want %q", text, got, want)
		}
	}
	if got := backends.OneLine(strings.Repeat("é\n", 1000)); len(got) > 310 || !strings.HasSuffix(got, "…") || strings.ContainsRune(got, '\uFFFD') {
		t.Errorf("%q", got)
	}
}

func TestBrief(t *testing.T) {
	dns := &net.OpError{Op: "dial", Err: &net.DNSError{Err: "no such host", Name: "h.example", IsNotFound: true}}
	refused := &net.OpError{Op: "dial", Net: "tcp", Err: errors.New("refused")}
	for want, err := range map[string]error{
		"host 'h.example' does not resolve": &url.Error{Op: "Get", URL: "http://h.example/?sig=x", Err: dns},
		"dial tcp: refused":                 &url.Error{Op: "Get", URL: "http://h.example/?sig=x", Err: refused},
		"two lines":                         &url.Error{Op: "Get", URL: "http://h.example/?sig=x", Err: errors.New("two\nlines")},
		"else":                              errors.New("else"),
	} {
		if got := backends.Brief(err); got.Error() != want || !errors.Is(got, err) {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

// TestBody: exactly the promised bytes, and then the end, or an error.
func TestBody(t *testing.T) {
	open := func(ctx context.Context, r io.Reader) io.ReadCloser {
		return backends.NewBody(ctx, "read", "x://b/o", io.NopCloser(r), 6)
	}
	for name, r := range map[string]io.Reader{
		"exact":        strings.NewReader("abcdef"),
		"longer":       strings.NewReader("abcdefghi"),
		"by bytes":     iotest.OneByteReader(strings.NewReader("abcdef")),
		"data and end": iotest.DataErrReader(strings.NewReader("abcdef")),
	} {
		if got, err := io.ReadAll(open(t.Context(), r)); string(got) != "abcdef" || err != nil {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
	got, err := io.ReadAll(open(t.Context(), strings.NewReader("abcd")))
	if string(got) != "abcd" || manifest.KindOf(err) != manifest.KindUnreachable || !strings.Contains(err.Error(), "read: x://b/o: the answer broke off 2 bytes before its end") {
		t.Errorf("%q, %v", got, err)
	}
	typed := backends.Gone("read", manifest.Object{Ref: "x://b/o"}, "")
	if _, err := io.ReadAll(open(t.Context(), iotest.ErrReader(typed))); !errors.Is(err, typed) {
		t.Errorf("%v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := io.ReadAll(open(ctx, iotest.ErrReader(errors.New("x")))); manifest.KindOf(err) != manifest.KindCanceled {
		t.Errorf("%v", err)
	}
}

// shutter fails to close.
type shutter struct{ io.Reader }

func (shutter) Close() error { return errors.New("stuck") }

func TestBodyClose(t *testing.T) {
	for length, kind := range map[int64]manifest.Kind{3: manifest.KindUnreachable, 4: manifest.KindOther} {
		b := backends.NewBody(t.Context(), "read", "x://b/o", shutter{strings.NewReader("abc")}, length)
		_, _ = io.ReadAll(b)
		if err := b.Close(); manifest.KindOf(err) != kind || (err == nil) != (length == 4) {
			t.Errorf("%d bytes: %v", length, err)
		}
	}
}
