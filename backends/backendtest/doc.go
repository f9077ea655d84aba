// Package backendtest is the suite that every driver passes: what the contract
// of package backends says, case by case, against the driver's real source or a
// real server.
//
//   - Fixture: what a driver brings. New makes an empty place for one case and a
//     Backend that reads it; Features say what the source can do, and choose what
//     a case expects.
//   - Run: runs every case, in order, one at a time.
//   - Cases: the names, for Fixture.NotApplicable.
//
// # Rules
//
// A case is never left out in silence: a driver whose source can't have the
// situation names the case in NotApplicable with the reason, and a name that is
// no case fails. Cases know no driver. A case has two minutes; none sleeps.
package backendtest
