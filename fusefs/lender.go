package fusefs

import (
	"context"
	"os"

	"github.com/pinfs/pinfs/manifest"
)

// OpenMode says how files are opened.
type OpenMode string

const (
	// OpenStateless answers OPEN and FLUSH with ENOSYS: the kernel never asks again,
	// and an open costs what it costs on a local disk.
	OpenStateless OpenMode = "stateless"
	// OpenPassthrough answers each open, and lets the kernel read the file that
	// Content lends by itself. Needs Linux 6.9, CAP_SYS_ADMIN and Content that is a
	// Lender; without them the mount is stateless.
	OpenPassthrough OpenMode = "passthrough"
)

// Lender is Content that has files which the kernel may read instead of asking. All
// methods may be called from many goroutines at once.
type Lender interface {
	// Lend gives a loan of the file that holds obj, and the file, which the caller
	// closes; nil when there is none now: the bytes then come from ReadAt. It asks no
	// source. revoked is called once when the loan ends by itself, from any goroutine:
	// it must not wait or call the Lender or a Loan.
	Lend(obj manifest.Object, revoked func()) (Loan, *os.File)
	// Prepare is told of an object that was closed and had not been lent: what Lend
	// lacked may be done now, behind the caller.
	Prepare(obj manifest.Object)
	// Probe gives some file of the kind that Lend gives; the caller closes it.
	Probe() (*os.File, error)
}

// Loan is a file that the kernel may read. One goroutine at a time calls its
// methods, but for Ready. Its bytes stay right while it is in use: after Lend or Take, up
// to Rest.
type Loan interface {
	// Take puts it to use again; false when it was revoked.
	Take() bool
	// Rest ends a use.
	Rest()
	// Ready returns when the file is right as far as is known, or says why it is not.
	Ready(ctx context.Context) error
	// Close gives it back, in use or not.
	Close()
}
