package manifest

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"iter"
	"strconv"
)

// Encode writes a W&B manifest, version 1, as one line of JSON. Entries come in
// the order given, which W&B's is byte order of the path, each path once; keys
// inside are always in the same order, so equal manifests are equal bytes. A size
// is written unless it is SizeUnknown, all else when it is set; ModTime is not
// part of the format. Decode of the result gives the same.
//
// What JSON can't hold is KindInvalid and names the path: text that is not UTF-8,
// values in Extra that are no JSON, and what Decode refuses. Errors of entries are
// returned as they are, those of w wrapped. On an error the output is cut short.
func Encode(w io.Writer, h Header, entries iter.Seq2[Entry, error]) error {
	e := encoder{w: bufio.NewWriterSize(w, readSize)}
	if err := e.header(h); err != nil {
		return err
	}
	first := true
	for entry, err := range entries {
		if err != nil {
			return err
		}
		if err := e.entry(entry, first); err != nil {
			return err
		}
		first = false
	}
	e.w.WriteString("}}\n")
	if err := e.w.Flush(); err != nil {
		return fmt.Errorf("write manifest: %w", err)
	}
	return nil
}

type encoder struct {
	w   *bufio.Writer // its first error sticks and comes out of the last call
	buf []byte
}

func (e *encoder) header(h Header) error {
	b := append(e.buf[:0], `{"version":1,"storagePolicy":`...)
	b, err := appendText(b, h.StoragePolicy)
	if err != nil {
		return cantEncode("", "storagePolicy", err)
	}
	b = append(b, `,"storagePolicyConfig":`...)
	if b, err = appendObject(b, h.StoragePolicyConfig, 1); err != nil {
		return cantEncode("", "storagePolicyConfig", err)
	}
	b = append(b, `,"contents":{`...)
	return e.flush(b)
}

func (e *encoder) entry(entry Entry, first bool) error {
	if err := CheckPath(entry.Path); err != nil {
		return err
	}
	b := e.buf[:0]
	if !first {
		b = append(b, ',')
	}
	b, err := appendText(b, entry.Path)
	if err != nil {
		return cantEncode(entry.Path, "path", err)
	}
	b = append(b, ':')
	start := len(b)
	if b, err = appendEntry(b, entry); err != nil {
		return err
	}
	if len(b)-start > maxValue {
		return cantEncode(entry.Path, "entry", fmt.Errorf("more than %d bytes", maxValue))
	}
	return e.flush(b)
}

// flush hands b on and keeps its memory.
func (e *encoder) flush(b []byte) error {
	e.buf = b
	if _, err := e.w.Write(b); err != nil {
		return fmt.Errorf("write manifest: %w", err)
	}
	return nil
}

// appendEntry appends e without its path, keys in the order of W&B's SDK.
func appendEntry(b []byte, e Entry) ([]byte, error) {
	if e.Digest == "" {
		return nil, cantEncode(e.Path, "entry", errors.New("no digest"))
	}
	b = append(b, '{')
	b, err := appendField(b, "digest", e.Digest)
	if err == nil && e.Ref != "" {
		b, err = appendField(append(b, ','), "ref", e.Ref)
	}
	if err == nil && e.Size != SizeUnknown {
		b, err = appendSize(append(b, `,"size":`...), e.Size)
	}
	if err == nil && e.BirthArtifactID != "" {
		b, err = appendField(append(b, ','), "birthArtifactID", e.BirthArtifactID)
	}
	if err == nil && len(e.Extra) > 0 {
		b, err = appendObject(append(b, `,"extra":`...), e.Extra, 1)
	}
	if err != nil {
		return nil, cantEncode(e.Path, "entry", err)
	}
	if e.SkipCache {
		b = append(b, `,"skip_cache":true`...)
	}
	return append(b, '}'), nil
}

func appendSize(b []byte, size int64) ([]byte, error) {
	if size < 0 {
		return nil, fmt.Errorf("size %d is negative", size)
	}
	return strconv.AppendInt(b, size, 10), nil
}

func cantEncode(path, what string, err error) error {
	e := &Error{Kind: KindInvalid, Op: "write manifest", Msg: what, Err: err}
	if path != "" {
		e.Ref = quotePath(path)
	}
	return e
}
