package snapshot

import (
	"bufio"
	"context"
	"encoding/binary"
	"fmt"
	"io"
)

// finish closes the blobs and writes nodes, names and prefixes.
func (t *tree) finish(ctx context.Context) error {
	t.out.end(sectionBlobs, uint64(t.totals.Files))
	if err := t.writeNodes(ctx); err != nil {
		return err
	}
	if err := t.writeNames(ctx); err != nil {
		return err
	}
	if err := t.out.section(sectionPrefixes, uint64(len(t.refs.table.list)), t.refs.table.section()); err != nil {
		return err
	}
	if t.chunked == 0 {
		return nil
	}
	return t.writeChunks(ctx)
}

// writeNodes writes the nodes level by level. What a node lacks is known now:
// where the levels begin, and how many children the directories have.
func (t *tree) writeNodes(ctx context.Context) error {
	t.out.begin(sectionNodes)
	p := &patcher{out: t.out}
	for _, l := range t.levels {
		if err := p.level(ctx, l); err != nil {
			return fmt.Errorf("write nodes: %w", err)
		}
	}
	t.out.end(sectionNodes, t.nodes)
	return nil
}

func (t *tree) writeNames(ctx context.Context) error {
	t.out.begin(sectionNames)
	for _, l := range t.levels {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if _, err := io.Copy(t.out, l.names.reader()); err != nil {
			return fmt.Errorf("write names: %w", err)
		}
	}
	t.out.end(sectionNames, t.nodes)
	return nil
}

// patcher completes nodes in their final order.
type patcher struct {
	out   *output
	above uint64 // index of the first node of the level above
	first uint64 // and of this level
	child uint64 // index of the next child
	name  uint64 // offset of the next name
}

func (p *patcher) level(ctx context.Context, l *level) error {
	nodes := bufio.NewReaderSize(l.nodes.reader(), bufferFor(l.nodes))
	counts := bufio.NewReaderSize(l.counts.reader(), bufferFor(l.counts))
	p.child = p.first + l.n
	var node [nodeSize]byte
	for i := range l.n {
		if i%4096 == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		if _, err := io.ReadFull(nodes, node[:]); err != nil {
			return err
		}
		if err := p.patch(&node, counts); err != nil {
			return err
		}
		if _, err := p.out.Write(node[:]); err != nil {
			return err
		}
	}
	p.above, p.first = p.first, p.first+l.n
	return nil
}

func (p *patcher) patch(node *[nodeSize]byte, counts io.Reader) error {
	le := binary.LittleEndian
	putUint40(node[16:], p.name)
	p.name += uint64(node[21])
	le.PutUint32(node[24:], le.Uint32(node[24:])+uint32(p.above))
	if node[22]&flagDir == 0 {
		return nil
	}
	var c [8]byte
	if _, err := io.ReadFull(counts, c[:]); err != nil {
		return err
	}
	if count := le.Uint32(c[:]); count > 0 {
		le.PutUint32(node[0:], uint32(p.child))
		le.PutUint32(node[4:], count)
		p.child += uint64(count)
	}
	copy(node[28:32], c[4:])
	return nil
}

func bufferFor(s *stream) int { return int(min(max(s.size, 16), 256<<10)) }

func putUint40(b []byte, v uint64) {
	binary.LittleEndian.PutUint32(b, uint32(v))
	b[4] = byte(v >> 32)
}

func uint40(b []byte) uint64 {
	return uint64(binary.LittleEndian.Uint32(b)) | uint64(b[4])<<32
}
