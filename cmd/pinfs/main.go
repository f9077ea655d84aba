package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
	"time"
)

func main() { os.Exit(run()) }

// sameSignal is how long a further signal is taken for the first one: timeout(1)
// and some shells send it to the process and to its group.
const sameSignal = 300 * time.Millisecond

// run does one command under the signals: the first SIGINT or SIGTERM cancels
// its context, so that it cleans up; after that they have their default effect,
// so that a second one kills.
func run() int {
	ctx, stop := signal.NotifyContext(context.Background(), endSignals()...)
	defer stop()
	defer context.AfterFunc(ctx, func() { time.AfterFunc(sameSignal, stop) })()
	a := &app{stdin: os.Stdin, stdout: os.Stdout, stderr: os.Stderr}
	if isMountHelper(os.Args) {
		return a.mountHelper(ctx, os.Args)
	}
	return a.run(ctx, os.Args)
}

// endSignals are the signals that end a command. A shell without job control
// starts what runs in the background with SIGINT ignored; so it stays.
func endSignals() []os.Signal {
	if signal.Ignored(syscall.SIGINT) {
		return []os.Signal{syscall.SIGTERM}
	}
	return []os.Signal{syscall.SIGINT, syscall.SIGTERM}
}
