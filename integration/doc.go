// Package integration runs the pinfs command as its users do: against real
// servers, through real mounts, killed for real. It holds tests only; the
// package servers starts the servers, tools.sh installs what is needed. A
// missing server, program or /dev/fuse fails a test and says what to install;
// nothing is ever skipped.
package integration
