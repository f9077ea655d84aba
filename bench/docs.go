package main

import (
	"fmt"
	"os"
	"strings"
)

// What stands between them in a page comes from a run.
const (
	docsBegin = "<!-- bench: begin -->"
	docsEnd   = "<!-- bench: end -->"
)

// writeDocs replaces the generated part of a page; the rest is written by hand.
func writeDocs(path string, r *report) error {
	page, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	head, rest, ok := strings.Cut(string(page), docsBegin)
	_, end, closed := strings.Cut(rest, docsEnd)
	if !ok || !closed {
		return fmt.Errorf("%s: no %s … %s", path, docsBegin, docsEnd)
	}
	return os.WriteFile(path, []byte(head+docsBegin+"\n"+r.markdown()+docsEnd+end), 0o644)
}
