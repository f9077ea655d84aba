package main

import (
	"fmt"
	"io"
	"os"
	"sync/atomic"

	"github.com/urfave/cli/v2"
	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"
	"golang.org/x/sys/unix"

	"github.com/pinfs/pinfs/registry/download"
	"github.com/pinfs/pinfs/registry/publish"
)

// bar shows how far a command is, on standard error. The zero bar shows nothing.
type bar struct {
	container *mpb.Progress
	files     *mpb.Bar
	note      atomic.Pointer[string] // beside the bar
}

// progress starts a bar if somebody can see it: standard error is a terminal, and
// neither --quiet nor --json was given.
func (a *app) progress(c *cli.Context, what string) *bar {
	f, ok := a.stderr.(*os.File)
	if !ok || !isTerminal(f) || c.Bool(flagQuiet) || c.Bool(flagJSON) {
		return &bar{}
	}
	return newBar(f, what)
}

func newBar(w io.Writer, what string) *bar {
	b := &bar{container: mpb.New(mpb.WithOutput(w), mpb.WithWidth(40))}
	b.files = b.container.AddBar(0,
		mpb.BarRemoveOnComplete(),
		mpb.PrependDecorators(decor.Name(what+" ")),
		mpb.AppendDecorators(decor.Any(func(decor.Statistics) string {
			if note := b.note.Load(); note != nil {
				return *note
			}
			return ""
		})))
	return b
}

// tracked shows what was listed; nobody knows how much there is.
func (b *bar) tracked(p publish.Progress) {
	note := fmt.Sprintf("%s, %s", count(p.Objects, "object"), size(p.Bytes))
	if p.Hashed > 0 {
		note += ", " + size(p.Hashed) + " hashed"
	}
	b.set(p.Hashed, p.Bytes, note)
}

// downloaded shows what get or verify has done.
func (b *bar) downloaded(p download.Progress) {
	note := fmt.Sprintf("%d of %s, %s of %s", p.Files, count(p.TotalFiles, "file"), size(p.Bytes), size(p.TotalBytes))
	b.set(p.Files, p.TotalFiles, note)
}

// retrying shows why it takes longer.
func (b *bar) retrying(err error) {
	if b.files == nil {
		return
	}
	note := "retrying: " + scrub(oneLine(err.Error()))
	b.note.Store(&note)
}

// set shows done of total, and a note.
func (b *bar) set(done, total int64, note string) {
	if b.files == nil {
		return
	}
	b.note.Store(&note)
	b.files.SetTotal(total, false)
	b.files.SetCurrent(done)
}

// end removes the bar. It may be called again.
func (b *bar) end() {
	if b.container == nil {
		return
	}
	b.files.Abort(true)
	b.container.Wait()
	b.container, b.files = nil, nil
}

func isTerminal(f *os.File) bool {
	_, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
	return err == nil
}
