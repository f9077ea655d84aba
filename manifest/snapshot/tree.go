package snapshot

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"math"
	"strconv"

	"github.com/pinfs/pinfs/manifest"
)

// tree takes records in the order of their keys, writes their blobs and hands
// each node to the streams of its depth.
type tree struct {
	out      *output
	sp       *spool
	shadowed bool // allowed
	refs     *refCoder
	levels   []*level
	stack    []openDir // the root first
	chain    []byte    // names of the open directories, a 0 behind each
	held     []byte    // a record that waits for its successor
	blob     []byte    // reused
	blobEnd  uint64
	nodes    uint64
	totals   Summary
	chunks   *chunkStore
	chunked  uint64 // files with chunks
}

// level is one depth: its nodes as they will be, but for what is known only at
// the end (see patcher), their names, and the counts of its directories.
type level struct {
	nodes, names, counts *stream
	n                    uint64
	chunked              *stream // files with chunks, see chunkstore.go; nil: none yet
}

type openDir struct {
	end    int    // of its part of chain
	pos    uint32 // among the nodes of its level
	count  uint32
	subs   uint32
	parent uint32 // pos of its parent
}

func newTree(out *output, sp *spool, provisional []string, shadowed bool) *tree {
	t := &tree{out: out, sp: sp, shadowed: shadowed, refs: newRefCoder(provisional)}
	out.begin(sectionBlobs)
	return t
}

// addAll reads src to its end.
func (t *tree) addAll(ctx context.Context, src source) error {
	if err := t.open(nil); err != nil {
		return err
	}
	for i := 0; ; i++ {
		if i%1024 == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		rec, err := src.next()
		if err != nil {
			return err
		}
		if t.held != nil {
			if err := t.addHeld(rec); err != nil {
				return err
			}
		}
		if rec == nil {
			return t.closeTo(0)
		}
		t.held = append(t.held[:0], rec...)
	}
}

// addHeld adds the record that was held; next is the one behind it, or nil.
func (t *tree) addHeld(next record) error {
	rec := record(t.held)
	key := rec.key()
	if next == nil || !bytes.HasPrefix(next.key(), key) {
		return t.addFile(rec, false)
	}
	rest := next.key()[len(key):]
	switch {
	case len(rest) == 0:
		return invalid(rec.path(), "the path is there twice")
	case rest[0] != 0:
		return t.addFile(rec, false)
	case !t.shadowed:
		return invalid(rec.path(), "it is a file and a directory")
	}
	return t.addFile(rec, true)
}

// invalid quotes the path, as CheckPath does: any byte may be in it.
func invalid(path, msg string) *manifest.Error {
	return &manifest.Error{Kind: manifest.KindInvalid, Op: "add entry", Ref: strconv.Quote(path), Msg: msg}
}

// addFile adds a file; a shadowed one behind the directory of its name.
func (t *tree) addFile(rec record, shadowed bool) error {
	key := rec.key()
	name := bytes.LastIndexByte(key, 0) + 1
	if err := t.enter(key[:name]); err != nil {
		return err
	}
	dir := &t.stack[len(t.stack)-1]
	depth := len(t.stack)
	parent := dir.pos
	if shadowed {
		dir.count++ // before open, which can move the stack
		if err := t.open(key[name:]); err != nil {
			return err
		}
	} else {
		dir.count++
	}
	return t.emitFile(rec, depth, parent, key[name:], shadowed)
}

// enter makes dir, a 0 behind each name, the open directory.
func (t *tree) enter(dir []byte) error {
	if bytes.Equal(dir, t.chain) {
		return nil
	}
	shared := commonPrefix(dir, t.chain)
	keep := len(t.stack)
	for keep > 1 && t.stack[keep-1].end > shared {
		keep--
	}
	if err := t.closeTo(keep); err != nil {
		return err
	}
	rest := dir[t.stack[keep-1].end:]
	for len(rest) > 0 {
		n := bytes.IndexByte(rest, 0)
		if err := t.open(rest[:n]); err != nil {
			return err
		}
		rest = rest[n+1:]
	}
	return nil
}

// open opens a directory below the open one; nil is the root.
func (t *tree) open(name []byte) error {
	depth := len(t.stack)
	d := openDir{pos: uint32(t.level(depth).n)}
	var node [nodeSize]byte
	node[22] = flagDir
	if depth > 0 {
		up := &t.stack[depth-1]
		up.count++
		up.subs++
		d.parent = up.pos
		t.chain = append(append(t.chain, name...), 0)
		t.totals.Dirs++
	}
	d.end = len(t.chain)
	t.stack = append(t.stack, d)
	return t.emit(depth, d.parent, name, &node)
}

// closeTo closes open directories until n are left.
func (t *tree) closeTo(n int) error {
	for len(t.stack) > n {
		depth := len(t.stack) - 1
		d := t.stack[depth]
		var counts [8]byte
		binary.LittleEndian.PutUint32(counts[:], d.count)
		binary.LittleEndian.PutUint32(counts[4:], d.subs)
		if _, err := t.levels[depth].counts.Write(counts[:]); err != nil {
			return err
		}
		t.stack = t.stack[:depth]
		if depth > 0 {
			t.chain = t.chain[:t.stack[depth-1].end]
		}
	}
	return nil
}

func (t *tree) emitFile(rec record, depth int, parent uint32, name []byte, shadowed bool) error {
	le := binary.LittleEndian
	tail := rec.tail()
	var node [nodeSize]byte
	copy(node[:16], tail[1:17])
	node[22] = tail[0]
	rest := tail[nodeFields:]
	if tail[0]&flagChunks != 0 {
		if err := t.addChunked(depth, rest[:chunkedFields]); err != nil {
			return err
		}
		rest = rest[chunkedFields:]
	}
	if shadowed {
		node[22] |= flagShadowed
	}
	blob, err := t.refs.appendFinal(t.blob[:0], rec.key(), rest)
	if err != nil {
		return err
	}
	t.blob = blob
	if _, err := t.out.Write(blob); err != nil {
		return err
	}
	le.PutUint32(node[28:], uint32(len(blob)))
	le.PutUint64(node[32:], t.blobEnd)
	t.blobEnd += uint64(len(blob))
	t.count(node[22], int64(le.Uint64(tail[1:])))
	return t.emit(depth, parent, name, &node)
}

// count adds a file to the totals. Sums that no int64 holds stay at its largest.
func (t *tree) count(flags byte, size int64) {
	t.totals.Files++
	if flags&flagShadowed != 0 {
		t.totals.Shadowed++
	}
	if flags&flagUnknownSize != 0 {
		t.totals.UnknownSizes++
		return
	}
	t.totals.Bytes += min(size, math.MaxInt64-t.totals.Bytes)
}

// emit writes a node to its level. The parent is its place among the nodes of the
// level above, the name's offset is left to the patcher.
func (t *tree) emit(depth int, parent uint32, name []byte, node *[nodeSize]byte) error {
	if t.nodes == maxNodes {
		return &manifest.Error{
			Kind: manifest.KindLimit, Op: "add entry",
			Msg: fmt.Sprintf("more than %d files and directories", uint64(maxNodes)),
		}
	}
	t.nodes++
	node[21] = byte(len(name))
	binary.LittleEndian.PutUint32(node[24:], parent)
	l := t.level(depth)
	l.n++
	if _, err := l.nodes.Write(node[:]); err != nil {
		return err
	}
	_, err := l.names.Write(name)
	return err
}

func (t *tree) level(depth int) *level {
	if depth == len(t.levels) {
		t.levels = append(t.levels, &level{nodes: t.sp.stream(), names: t.sp.stream(), counts: t.sp.stream()})
	}
	return t.levels[depth]
}
