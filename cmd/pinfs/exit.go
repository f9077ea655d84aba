package main

import (
	"errors"
	"regexp"
	"strings"

	"github.com/pinfs/pinfs/daemon/owner"
	"github.com/pinfs/pinfs/manifest"
)

// Exit codes; scripts rely on them.
const (
	exitDone        = 0
	exitFailed      = 1
	exitUsage       = 2
	exitNotFound    = 3
	exitSource      = 4
	exitContent     = 5
	exitPartly      = 6
	exitLimit       = 7
	exitInterrupted = 130
)

// exitCode is the one table from kind of error to exit code.
func exitCode(err error) int {
	if err == nil {
		return exitDone
	}
	var partly *partlyDone
	switch {
	case errors.As(err, &partly):
		return exitPartly
	case errors.Is(err, errAgain):
		return owner.Again
	}
	switch manifest.KindOf(err) {
	case manifest.KindInvalid, manifest.KindUnsupported:
		return exitUsage
	case manifest.KindNotFound:
		return exitNotFound
	case manifest.KindUnreachable, manifest.KindDenied, manifest.KindNoSource, manifest.KindThrottled:
		return exitSource
	case manifest.KindGone, manifest.KindChanged, manifest.KindCorrupt:
		return exitContent
	case manifest.KindLimit, manifest.KindTimeout:
		return exitLimit
	case manifest.KindCanceled:
		return exitInterrupted
	}
	return exitFailed
}

// partlyDone is the end of a command that did some of its files. Those that
// failed have been printed; only the exit code is left to tell.
type partlyDone struct{ text string }

func (p *partlyDone) Error() string { return p.text }

// usage is an error in what was typed.
func usage(op, which, why, hint string) error {
	return &manifest.Error{Kind: manifest.KindInvalid, Op: op, Ref: which, Msg: why, Hint: hint}
}

// errorLine gives err as the one line that a person sees, without secrets.
func errorLine(err error) string {
	text := strings.TrimPrefix(err.Error(), "pinfs: ")
	return "pinfs: " + scrub(oneLine(text))
}

// oneLine puts text on one line: what a terminal would obey becomes a space.
func oneLine(text string) string {
	return strings.TrimSpace(controls().ReplaceAllString(text, " "))
}

func controls() *regexp.Regexp { return regexp.MustCompile(`[\x00-\x1f\x7f]+`) }
