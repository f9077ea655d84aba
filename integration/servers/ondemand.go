package servers

import (
	"errors"
	"sync"
	"testing"
)

// OnDemand is a server that the tests of one binary share. It starts when the
// first test asks for it.
type OnDemand[S any] struct {
	once sync.Once
	main func() (S, func(), error)

	// Written once:
	server S
	stop   func()
	err    error
}

// NewOnDemand takes one of the Start…Main functions.
func NewOnDemand[S any](main func() (S, func(), error)) *OnDemand[S] { return &OnDemand[S]{main: main} }

// Get gives the server. When it could not be started the test fails, as do all
// others that ask.
func (d *OnDemand[S]) Get(t testing.TB) S {
	t.Helper()
	d.once.Do(func() { d.server, d.stop, d.err = d.main() })
	if d.err != nil {
		t.Fatal(d.err)
	}
	return d.server
}

// Stop ends the server, if it was started; for the end of TestMain, before
// os.Exit. Afterwards it can't be started any more.
func (d *OnDemand[S]) Stop() {
	d.once.Do(func() { d.err = errors.New("the servers are stopped already") })
	if d.stop != nil {
		d.stop()
	}
}
