// Package backendtest is the suite that every driver passes: what the contract
// of package backends says, case by case, against the driver's real source or a
// real server.
//
//   - Fixture: what a driver brings. New makes an empty place for one case and a
//     Backend that reads it; Features say what the source can do, and choose what
//     a case expects.
//   - Faults: what may go wrong between a driver and its server; the proxies of
//     integration/servers implement it.
//   - Run: runs every case, in order, one at a time.
//   - Cases: the names, for Fixture.NotApplicable.
//   - Driver, Scripted: what all drivers of cloud stores must do alike, before a
//     server that answers as a test scripts it. Read, List, Secrets: its calls.
//
// # Rules
//
// A case is never left out in silence: a driver whose source can't have the
// situation names the case in NotApplicable with the reason, and a name that is
// no case fails. Cases know no driver. A case has two minutes; none sleeps but to
// poll.
//
// Cases about faults ("fault: …") break the answers of the server by Source.Faults.
// Those about the kind of an error ask the bare driver, so Source.Backend must not
// be wrapped; where trying again must heal, the case wraps it with a quick policy.
// A driver that repeats pages of a listing is made with the policy Retry. A source
// without a network says so in Fixture.NoFaults, and a driver whose SDK answers one
// of these faults in another way names the case like any other.
package backendtest
