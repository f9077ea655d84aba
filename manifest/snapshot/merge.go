package snapshot

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
)

// source gives records in the order of their keys; nil after the last. A record
// is valid until the next call.
type source interface {
	next() (record, error)
}

var (
	_ source = (*memorySource)(nil)
	_ source = (*runSource)(nil)
	_ source = (*merger)(nil)
)

// sorted gives all records in order, from memory when none were spilled. Memory
// for reading runs is at most limit bytes.
func (s *sorter) sorted(ctx context.Context, limit int) (source, error) {
	if len(s.runList) == 0 {
		s.sort()
		return &memorySource{s: s}, nil
	}
	if len(s.items) > 0 {
		if err := s.spill(); err != nil {
			return nil, err
		}
	}
	s.free()
	fan := min(128, max(2, limit>>16))
	buffer := min(1<<20, max(4<<10, limit/fan))
	for len(s.runList) > fan {
		if err := s.mergePass(ctx, fan, buffer); err != nil {
			return nil, err
		}
	}
	return newMerger(s.runList, buffer)
}

// mergePass makes one run of each fan runs.
func (s *sorter) mergePass(ctx context.Context, fan, buffer int) error {
	next := newSpool(s.dir, buffer)
	var list []*stream
	for i := 0; i < len(s.runList); i += fan {
		run := next.stream()
		list = append(list, run)
		if err := mergeRuns(ctx, s.runList[i:min(i+fan, len(s.runList))], run, buffer); err != nil {
			next.Close()
			return err
		}
	}
	err := s.runs.Close()
	s.runs, s.runList = next, list
	return err
}

func mergeRuns(ctx context.Context, runs []*stream, to *stream, buffer int) error {
	m, err := newMerger(runs, buffer)
	if err != nil {
		return err
	}
	for i := 0; ; i++ {
		if i%1024 == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		r, err := m.next()
		if r == nil || err != nil {
			return err
		}
		if _, err := to.Write(r); err != nil {
			return err
		}
	}
}

type memorySource struct {
	s *sorter
	i int
}

func (m *memorySource) next() (record, error) {
	if m.i == len(m.s.items) {
		return nil, nil
	}
	m.i++
	return m.s.record(m.s.items[m.i-1]), nil
}

// runSource reads one run.
type runSource struct {
	r   *bufio.Reader
	rec []byte
}

func (r *runSource) next() (record, error) {
	head, err := r.r.Peek(4)
	if err == io.EOF && len(head) == 0 {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read a run: %w", err)
	}
	n := 4 + int(binary.LittleEndian.Uint32(head))
	if cap(r.rec) < n {
		r.rec = make([]byte, n, n+n/2)
	}
	r.rec = r.rec[:n]
	if _, err := io.ReadFull(r.r, r.rec); err != nil {
		return nil, fmt.Errorf("read a run: %w", err)
	}
	return r.rec, nil
}

// merger is a heap of sources by their current record.
type merger struct {
	heap []merged
	last bool // the top was handed out and must move on
}

type merged struct {
	src *runSource
	rec record
}

func newMerger(runs []*stream, buffer int) (*merger, error) {
	m := &merger{}
	for _, run := range runs {
		src := &runSource{r: bufio.NewReaderSize(run.reader(), buffer)}
		rec, err := src.next()
		if err != nil {
			return nil, err
		}
		if rec != nil {
			m.heap = append(m.heap, merged{src, rec})
		}
	}
	for i := len(m.heap)/2 - 1; i >= 0; i-- {
		m.down(i)
	}
	return m, nil
}

func (m *merger) next() (record, error) {
	if m.last {
		if err := m.advance(); err != nil {
			return nil, err
		}
	}
	m.last = len(m.heap) > 0
	if !m.last {
		return nil, nil
	}
	return m.heap[0].rec, nil
}

func (m *merger) advance() error {
	rec, err := m.heap[0].src.next()
	if err != nil {
		return err
	}
	if m.heap[0].rec = rec; rec == nil {
		n := len(m.heap) - 1
		m.heap[0] = m.heap[n]
		m.heap = m.heap[:n]
	}
	m.down(0)
	return nil
}

func (m *merger) down(i int) {
	for {
		child := 2*i + 1
		if child >= len(m.heap) {
			return
		}
		if child+1 < len(m.heap) && m.less(child+1, child) {
			child++
		}
		if !m.less(child, i) {
			return
		}
		m.heap[i], m.heap[child] = m.heap[child], m.heap[i]
		i = child
	}
}

func (m *merger) less(i, j int) bool {
	return bytes.Compare(m.heap[i].rec.key(), m.heap[j].rec.key()) < 0
}
