// Package fdstore keeps descriptors where they outlive this process: with whoever
// started it. That is systemd, for a unit with FileDescriptorStoreMax=, or an owner
// of pinfs's own (daemon/owner). Both speak one protocol, sd_notify(3).
//
// # The protocol
//
// NOTIFY_SOCKET names a datagram socket, by path or, with a leading "@", in the
// abstract namespace. A message is lines of KEY=VALUE, with descriptors beside it:
//
//	FDSTORE=1 FDNAME=n FDPOLL=0 + 1 descriptor  keep it; FDPOLL=0: also after its other end hung up
//	FDSTOREREMOVE=1 FDNAME=n                    close all that are kept by this name
//	READY=1 STATUS=...                          the start is over
//	STOPPING=1                                  the end has begun
//	WATCHDOG=1                                  alive
//	BARRIER=1 + 1 descriptor, a pipe's end      close it when you get here
//	X_PINFS_PROGRAM=path                        start this program next time; only pinfs's owner knows it
//
// The next process gets what is kept from descriptor 3 on, LISTEN_FDS of them, with
// the names LISTEN_FDNAMES, joined by ":". LISTEN_PID says for which process that is
// meant; an owner, which can't know it before the process runs, leaves it out.
//
// # What to rely on
//
// Nothing is answered: a message that was sent is in the socket, and is read from
// there also when its sender is killed in the next moment. What the keeper refuses
// (it has as many as it may, or has this very descriptor already) it drops in
// silence.
//
// A name may be kept more than once. pinfs's owner gives them in the order of Put,
// systemd in no order to rely on.
//
// The socket is connected to once, by Open. So a worker whose owner is gone never
// sends to whoever took an abstract name after it. A path is connected to again when
// nobody reads it any more, since systemd may have made a new one there.
package fdstore
