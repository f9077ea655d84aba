package manifest

import (
	"context"
	"errors"
	"strings"
)

// Kind sorts errors by what a caller does about them. fusefs has the one table
// from Kind to errno, cmd/pinfs the one from Kind to exit code.
type Kind uint8

// The kinds of errors.
const (
	KindOther       Kind = iota // anything else: a defect, a full disk
	KindInvalid                 // bad input: a name, a path, a manifest, a flag
	KindNotFound                // no such project, artifact, version, alias or path
	KindNoSource                // put: no such bucket, object or directory
	KindUnsupported             // no driver for the scheme, or a reference that is only tracked
	KindUnreachable             // the source or registry does not answer; worth another try
	KindThrottled               // the source asks for fewer requests; worth another try
	KindTimeout                 // a deadline passed
	KindDenied                  // no credentials, or refused ones
	KindGone                    // the pinned version no longer exists
	KindChanged                 // the object is there but is not the pinned version
	KindCorrupt                 // the bytes are not those recorded; a damaged snapshot
	KindLimit                   // a limit of ours was reached
	KindBusy                    // somebody else holds it: a mount point, a cache directory
	KindConflict                // a conditional write lost its race
	KindCanceled                // the caller gave up (Ctrl-C, a killed reader)
)

// Error is an error with its kind and the facts a person needs, in one line:
// what, which, expected and found, what to do. It never holds a secret.
type Error struct {
	Kind     Kind
	Op       string // what was done: "read", "list", "open manifest"
	Ref      string // which reference, name or path
	Expected string // digest, pin or size; "" when nothing is compared
	Found    string
	Msg      string // why, in words; "" takes Err's or the kind's own
	Hint     string // what to do; "" when there is nothing
	Err      error  // the cause, may be nil
}

// Error gives "op: ref: why: expected X but found Y; hint".
func (e *Error) Error() string {
	var parts []string
	for _, s := range []string{e.Op, e.Ref, e.why()} {
		if s != "" {
			parts = append(parts, s)
		}
	}
	text := strings.Join(parts, ": ")
	if e.Expected != "" || e.Found != "" {
		text += ": expected " + quoted(e.Expected) + " but found " + quoted(e.Found)
	}
	if e.Hint != "" {
		text += "; " + e.Hint
	}
	return text
}

func quoted(s string) string {
	if s == "" {
		return "nothing"
	}
	return "'" + s + "'"
}

func (e *Error) why() string {
	switch {
	case e.Msg != "" && e.Err != nil:
		return e.Msg + ": " + e.Err.Error()
	case e.Msg != "":
		return e.Msg
	case e.Err != nil:
		return e.Err.Error()
	}
	return e.Kind.String()
}

// Unwrap gives the cause.
func (e *Error) Unwrap() error { return e.Err }

// KindOf gives the kind of the first Error in err's chain. Contexts count too:
// Canceled and DeadlineExceeded are KindCanceled and KindTimeout.
func KindOf(err error) Kind {
	var typed *Error
	switch {
	case errors.As(err, &typed):
		return typed.Kind
	case errors.Is(err, context.Canceled):
		return KindCanceled
	case errors.Is(err, context.DeadlineExceeded):
		return KindTimeout
	}
	return KindOther
}

// String says the kind in the words of messages.
func (k Kind) String() string {
	switch k {
	case KindInvalid:
		return "not valid"
	case KindNotFound:
		return "no such name"
	case KindNoSource:
		return "no such object"
	case KindUnsupported:
		return "not supported"
	case KindUnreachable:
		return "source can't be reached"
	case KindThrottled:
		return "source asks to slow down"
	case KindTimeout:
		return "deadline passed"
	case KindDenied:
		return "access denied"
	case KindGone:
		return "pinned version is gone"
	case KindChanged:
		return "object changed since it was recorded"
	case KindCorrupt:
		return "bytes are not those recorded"
	case KindLimit:
		return "limit reached"
	case KindBusy:
		return "busy"
	case KindConflict:
		return "changed by somebody else"
	case KindCanceled:
		return "interrupted"
	}
	return "failed"
}
