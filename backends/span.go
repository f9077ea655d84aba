package backends

import (
	"fmt"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/pinfs/pinfs/manifest"
)

// Span is a range of an object, in bytes; Length < 0 is to its end.
type Span struct{ Offset, Length int64 }

// Header is the Range header that asks for s, which must not be empty.
func (s Span) Header() string {
	text := "bytes=" + strconv.FormatInt(s.Offset, 10) + "-"
	if s.Length > 0 && s.Length <= math.MaxInt64-s.Offset {
		text += strconv.FormatInt(s.Offset+s.Length-1, 10)
	}
	return text
}

// Whole tells whether s is all of an object of size bytes.
func (s Span) Whole(size int64) bool {
	return s.Offset == 0 && (s.Length < 0 || size >= 0 && s.Length >= size)
}

// Of gives how many bytes s has of an object of size bytes.
func (s Span) Of(size int64) int64 {
	n := max(0, size-s.Offset)
	if s.Length >= 0 {
		n = min(n, s.Length)
	}
	return n
}

// Sent is what an answer says of its body, in bytes; -1 is what it doesn't say.
type Sent struct {
	Start  int64 // where in the object the body starts
	Length int64 // of the body
	Total  int64 // size of the object
}

// ParseSent reads an answer's header: contentRange "" is an answer that holds the
// whole object, contentLength < 0 one that does not say how long it is.
func ParseSent(contentRange string, contentLength int64) Sent {
	sent := Sent{Start: -1, Length: max(-1, contentLength), Total: -1}
	if contentRange == "" {
		return Sent{Start: 0, Length: sent.Length, Total: sent.Length}
	}
	span, total, _ := strings.Cut(strings.TrimPrefix(contentRange, "bytes "), "/")
	first, last, ok := strings.Cut(span, "-")
	from, to := count(first), count(last)
	if !ok || from < 0 || to < from {
		return sent
	}
	sent.Start, sent.Total = from, count(total)
	if sent.Length < 0 {
		sent.Length = to - from + 1
	}
	return sent
}

// count reads a number of bytes; -1 when text is none ("*", "").
func count(text string) int64 {
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < 0 {
		return -1
	}
	return n
}

// Check compares an answer with what was asked for and gives how many bytes its
// body must have. KindCorrupt: another size than obj's, which may be unknown,
// another start or length than asked for, or no size at all. A body without a
// Content-Range may be longer than s wants; the rest is not read.
func (s Span) Check(op string, obj manifest.Object, sent Sent) (int64, error) {
	if err := CheckSize(op, obj, sent.Total); err != nil {
		return 0, err
	}
	size := sent.Total
	if size < 0 {
		size = obj.Size
	}
	want := s.Of(size)
	switch {
	case size < 0:
		return 0, corrupt(op, obj.Ref, "the answer does not tell the object's size", "", "")
	case sent.Start != s.Offset:
		return 0, corrupt(op, obj.Ref, "the answer starts at another offset than asked for", strconv.FormatInt(s.Offset, 10), offsetText(sent.Start))
	case sent.Length >= 0 && sent.Length != want && (sent.Start != 0 || sent.Length != sent.Total || sent.Length < want):
		return 0, corrupt(op, obj.Ref, "the answer has another length than asked for", sizeText(want), sizeText(sent.Length))
	}
	return want, nil
}

// CheckSize compares the size that a source tells of obj with the recorded one;
// one that is not known, < 0, differs from none. KindCorrupt when they differ.
func CheckSize(op string, obj manifest.Object, size int64) error {
	if obj.Size < 0 || size < 0 || size == obj.Size {
		return nil
	}
	return corrupt(op, obj.Ref, "its size is not the recorded one", sizeText(obj.Size), sizeText(size))
}

func corrupt(op, ref, msg, want, found string) error {
	return &manifest.Error{Kind: manifest.KindCorrupt, Op: op, Ref: ref, Msg: msg, Expected: want, Found: found}
}

func sizeText(n int64) string { return fmt.Sprintf("%d bytes", n) }

func offsetText(n int64) string {
	if n < 0 {
		return "no Content-Range that can be read"
	}
	return strconv.FormatInt(n, 10)
}

// maxWait bounds the pause that a server may name, so that it is a duration.
const maxWait = 1 << 20 * time.Second

// ParseRetryAfter gives the pause that an answer asks for, 0 when it asks for none:
// Retry-After in seconds or as a date (RFC 9110, section 10.2.3), or a header of
// Azure's in milliseconds.
func ParseRetryAfter(h http.Header) time.Duration {
	for _, name := range []string{"Retry-After-Ms", "X-Ms-Retry-After-Ms"} {
		if ms := count(h.Get(name)); ms > 0 {
			return min(time.Duration(min(ms, 1<<40))*time.Millisecond, maxWait)
		}
	}
	value := h.Get("Retry-After")
	if seconds := count(value); seconds > 0 {
		return min(time.Duration(min(seconds, 1<<30))*time.Second, maxWait)
	}
	at, err := http.ParseTime(value)
	if err != nil {
		return 0
	}
	now := time.Now()
	if told, err := http.ParseTime(h.Get("Date")); err == nil {
		now = told // by the clock that made the date
	}
	return min(max(0, at.Sub(now)), maxWait)
}
