package servers

import (
	"net/http"
	"time"
)

// Fault is one thing that goes wrong with a response. The zero values of its
// fields do nothing, so that a fault says only what it is about.
type Fault struct {
	// Match picks the requests that the fault hits; nil picks all.
	Match func(*http.Request) bool
	// Skip lets this many picked requests pass; then Times are hit, 0 being all.
	Skip, Times int
	// Above picks only requests that come while so many GETs or more are under way.
	Above int

	// Delay is waited for before anything else happens; Silent is no answer at all,
	// not even a header, until the client goes; Reset ends the connection instead.
	Delay         time.Duration
	Silent, Reset bool
	// Status answers at once, without asking the server. Code is the error code in
	// its body, the Dialect's own for the status when "", and Text the message.
	Status     int
	Code, Text string
	// Whole asks the server for all of the object, whatever range the client wants.
	Whole bool
	// Header replaces fields of the answer's header; a nil value removes one.
	Header http.Header

	// What follows damages the answers of the server that are no refusals.

	// Short makes the answer end so many bytes early, with a header that says so.
	// Shift and Total are added to both offsets and to the size in Content-Range,
	// whose body stays. Pad adds so many bytes to the body and to Content-Length.
	Short, Shift, Total, Pad int64
	// Truncate leaves out all from this byte on. Content-Length says what is sent,
	// Content-Range what should be.
	Truncate *int64
	// Rate lets so many bytes of the body through in a second; 0 is no limit.
	Rate int64
	// Cut ends the connection after so many bytes of the body, Stall sends
	// nothing more after them and waits until the client goes, Flip inverts the
	// bits of the byte at that offset. Past the end of the body they do nothing.
	Cut, Stall, Flip *int64
}

// At gives an offset for Fault's fields.
func At(n int64) *int64 { return &n }

// setHeader replaces and removes fields.
func (f *Fault) setHeader(h http.Header) {
	for name, values := range f.Header {
		if name = http.CanonicalHeaderKey(name); values == nil {
			delete(h, name)
		} else {
			h[name] = values
		}
	}
}
