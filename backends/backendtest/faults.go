package backendtest

import (
	"net/http"
	"time"
)

// Faults makes the answers go wrong that one Source's server gives to its driver.
// It stands between the two and knows the server's protocol, so that a case says
// only what goes wrong. The proxies of package integration/servers implement it.
// Its methods may be called from many goroutines at once.
type Faults interface {
	// Break adds a fault; of several that pick a request the first hits it.
	Break(f Fault)
	// Heal removes all faults; a request that is being hit stays so.
	Heal()
	// Seen gives how many requests of op came so far, hit or not.
	Seen(op Op) int
}

// Op is what a request is for.
type Op uint8

// What requests are for. Each is one of the three last.
const (
	AnyOp  Op = iota
	ListOp    // names, of a prefix or of versions
	StatOp    // what is said of one object, without its bytes
	DataOp    // bytes of one object
)

// Fault is what goes wrong with some requests. Fields that are zero do nothing. A
// request that an unbroken server would refuse is refused with its own words, but
// for Delay, Silent, Reset and Status, which come first.
type Fault struct {
	// Op picks the requests. Skip of them pass first, then Times are hit; 0 is all
	// from there on.
	Op          Op
	Skip, Times int

	// Delay is waited for before the request is passed on or answered.
	Delay time.Duration
	// Silent: no answer at all, until the client gives up.
	Silent bool
	// Reset: the connection ends without an answer.
	Reset bool
	// Status is answered at once in the server's own form of a refusal, with the
	// code that belongs to the status there (503 in S3: SlowDown; 403: denied), and
	// with Text as its message. "" is some text.
	Status int
	Text   string
	// Header replaces fields of the header of the answer, refused or not; a nil
	// value removes the field. Values have no effect on what the body holds.
	Header http.Header
	// Body damages the body of an answer; nil leaves it.
	Body *Damage
}

// Damage is what happens to a body.
type Damage struct {
	Kind DamageKind
	// At is the byte of this body that it happens at; past its end nothing does.
	At int64
}

// DamageKind says what happens to a body.
type DamageKind uint8

// What may happen to a body.
const (
	// Cut ends the connection before byte At.
	Cut DamageKind = iota + 1
	// Stall sends nothing from byte At on, until the client gives up.
	Stall
	// Flip inverts the bits of byte At.
	Flip
	// Shorten leaves out all from byte At on, in an answer that is complete:
	// Content-Length says what is sent, Content-Range what should be.
	Shorten
	// Lengthen adds At bytes after the end, and Content-Length counts them.
	Lengthen
)
