package publish

import (
	"context"
	"fmt"
	"hash"
	"io"

	"github.com/pinfs/pinfs/manifest"
	"github.com/pinfs/pinfs/manifest/chunks"
)

const bufferSize = 256 << 10

// content is what a reading of an object has found.
type content struct {
	size   int64
	sums   map[manifest.SumAlg][]byte
	chunks manifest.Chunks
}

// read reads f once, at its pin, and gives its bytes to to as well. It compares
// all checksums that are known (those of the manifest, those told, those that the
// answer brings) and computes the algorithms in also. An object that is not as it
// was listed is KindChanged or KindCorrupt.
func (p *put) read(ctx context.Context, f found, told []manifest.Sum, also ...manifest.SumAlg) (content, error) {
	return p.readTo(ctx, io.Discard, f, told, also...)
}

func (p *put) readTo(ctx context.Context, to io.Writer, f found, told []manifest.Sum, also ...manifest.SumAlg) (content, error) {
	obj := f.info.Entry(f.path).Object()
	body, info, err := p.o.Backend.Open(ctx, obj, 0, -1)
	if err != nil {
		return content{}, err
	}
	defer body.Close()
	h := newHashes(obj, told, info.Sums)
	for _, alg := range also {
		h.need(alg)
	}
	var pieces *chunks.Hasher
	into := io.MultiWriter(to, h)
	if p.o.ChunkDigests {
		pieces = chunks.NewHasher(chunks.SizeFor(max(obj.Size, info.Size)))
		into = io.MultiWriter(to, h, pieces)
	}
	size, err := p.pump(ctx, into, body)
	if err != nil {
		return content{}, err
	}
	if err := sameSize(obj, size); err != nil {
		return content{}, err
	}
	if err := h.check(obj); err != nil {
		return content{}, err
	}
	c := content{size: size, sums: h.all()}
	if pieces != nil {
		c.chunks = pieces.Chunks()
	}
	return c, nil
}

// pump copies by way of a buffer of the pool and tells the meter.
func (p *put) pump(ctx context.Context, w io.Writer, r io.Reader) (int64, error) {
	buf := p.buffers.Get().(*[bufferSize]byte)
	defer p.buffers.Put(buf)
	var size int64
	for {
		if err := ctx.Err(); err != nil {
			return size, err
		}
		n, err := r.Read(buf[:])
		if _, failed := w.Write(buf[:n]); failed != nil {
			return size, failed
		}
		size += int64(n)
		p.meter.add(Progress{Hashed: int64(n)})
		if err == io.EOF { //nolint:errorlint // io.Reader's own rule
			return size, nil
		}
		if err != nil {
			return size, err
		}
	}
}

func sameSize(obj manifest.Object, got int64) error {
	if obj.Size < 0 || obj.Size == got {
		return nil
	}
	return &manifest.Error{Kind: manifest.KindChanged, Op: "put", Ref: obj.Ref, Msg: "it is not as long as it was when it was listed",
		Expected: fmt.Sprintf("%d bytes", obj.Size), Found: fmt.Sprintf("%d bytes", got)}
}

// hashes are over one content, each algorithm once.
type hashes struct {
	known  []manifest.Sum
	byName map[manifest.SumAlg]hash.Hash
}

var _ io.Writer = (*hashes)(nil)

func newHashes(obj manifest.Object, told ...[]manifest.Sum) *hashes {
	h := &hashes{byName: map[manifest.SumAlg]hash.Hash{}}
	if sum, ok := obj.Sum(); ok {
		h.known = append(h.known, sum)
	}
	for _, sums := range told {
		h.known = append(h.known, sums...)
	}
	for _, sum := range h.known {
		h.need(sum.Alg)
	}
	return h
}

// need computes an algorithm; one that is not known, or none, is left out.
func (h *hashes) need(alg manifest.SumAlg) {
	if h.byName[alg] != nil {
		return
	}
	if fresh := alg.New(); fresh != nil {
		h.byName[alg] = fresh
	}
}

// Write never fails.
func (h *hashes) Write(p []byte) (int, error) {
	for _, one := range h.byName {
		one.Write(p)
	}
	return len(p), nil
}

// check compares what was read with what is known.
func (h *hashes) check(obj manifest.Object) error {
	for _, sum := range h.known {
		if one := h.byName[sum.Alg]; one != nil {
			if err := obj.CheckSum("put", sum, one.Sum(nil)); err != nil {
				return err
			}
		}
	}
	return nil
}

func (h *hashes) all() map[manifest.SumAlg][]byte {
	all := make(map[manifest.SumAlg][]byte, len(h.byName))
	for alg, one := range h.byName {
		all[alg] = one.Sum(nil)
	}
	return all
}
