package backends

import (
	"context"
	"errors"
	"time"

	"github.com/pinfs/pinfs/manifest"
)

// Gone is KindGone: the pinned version no longer exists. found says what is there
// instead ("a delete marker", a version id); "" means nothing.
func Gone(op string, obj manifest.Object, found string) error {
	return &manifest.Error{Kind: manifest.KindGone, Op: op, Ref: obj.Ref, Expected: obj.Pin.String(), Found: found}
}

// Changed is KindChanged: another version is there. found is its pin's value, of
// the same kind as obj's: an ETag, a version id, a size.
func Changed(op string, obj manifest.Object, found string) error {
	want := obj.Pin.Value
	if want == "" {
		want = obj.Digest
	}
	return &manifest.Error{Kind: manifest.KindChanged, Op: op, Ref: obj.Ref, Expected: want, Found: found}
}

// NoSource is KindNoSource: uri names nothing that could be listed. msg says
// what is missing ("no such bucket"); "" takes the kind's own words.
func NoSource(op, uri, msg string) error {
	return &manifest.Error{Kind: manifest.KindNoSource, Op: op, Ref: uri, Msg: msg}
}

// Denied is KindDenied; err is what the source said.
func Denied(op, ref, hint string, err error) error {
	return &manifest.Error{Kind: manifest.KindDenied, Op: op, Ref: ref, Hint: hint, Err: err}
}

// Unreachable is KindUnreachable: no answer, or one that broke off; retried.
func Unreachable(op, ref string, err error) error {
	return &manifest.Error{Kind: manifest.KindUnreachable, Op: op, Ref: ref, Err: err}
}

// Timeout is KindTimeout; msg says which wait ended.
func Timeout(op, ref, msg string) error {
	return &manifest.Error{Kind: manifest.KindTimeout, Op: op, Ref: ref, Msg: msg}
}

// Invalid is KindInvalid: a reference or a name that can't be recorded.
func Invalid(op, ref, msg, hint string) error {
	return &manifest.Error{Kind: manifest.KindInvalid, Op: op, Ref: ref, Msg: msg, Hint: hint}
}

// Unpinned is KindUnsupported: a reference that is tracked only, so that nobody
// knows which bytes it means.
func Unpinned(op string, obj manifest.Object) error {
	return &manifest.Error{Kind: manifest.KindUnsupported, Op: op, Ref: obj.Ref, Msg: "the reference has no pin, it is only tracked"}
}

// Throttled is KindThrottled: the source asks for fewer requests. wait is its
// Retry-After, 0 when it gives none; RetryAfter finds it again.
func Throttled(op, ref string, wait time.Duration, err error) error {
	return &manifest.Error{Kind: manifest.KindThrottled, Op: op, Ref: ref, Err: &pause{wait: wait, err: err}}
}

// RetryAfter gives how long the source asked to wait: the RetryAfter method of
// the first error in err's chain that has one, else 0.
func RetryAfter(err error) time.Duration {
	var asked interface{ RetryAfter() time.Duration }
	if errors.As(err, &asked) {
		return max(0, asked.RetryAfter())
	}
	return 0
}

// Ended gives the error of a call whose ctx is done, nil while it is not:
// KindTimeout after a deadline, else KindCanceled, with the reference.
func Ended(ctx context.Context, op, ref string) error {
	cause := context.Cause(ctx)
	if cause == nil {
		return nil
	}
	kind := manifest.KindCanceled
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		kind = manifest.KindTimeout
	}
	return &manifest.Error{Kind: kind, Op: op, Ref: ref, Err: cause}
}

// pause is an error with the Retry-After of its source.
type pause struct {
	wait time.Duration
	err  error
}

func (p *pause) Error() string {
	if p.err == nil {
		return manifest.KindThrottled.String()
	}
	return p.err.Error()
}

func (p *pause) Unwrap() error { return p.err }

func (p *pause) RetryAfter() time.Duration { return p.wait }
