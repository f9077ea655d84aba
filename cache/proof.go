package cache

import (
	"context"
	"encoding/binary"
	"hash"
	"slices"

	"github.com/pinfs/pinfs/manifest"
)

// proof is what was hashed of an object on its way to the disk, so that the check of
// the whole need not read it back: the CRC-64s of runs, which can be joined. It is of
// the bytes whose CRC32Cs the tables have; when one of these is in doubt, all of it
// is dropped, and the check reads the disk.
type proof struct {
	runs []run // by offset; none touches another
	asks bool  // the source was asked which checksum it has
}

// run is n bytes from off on and their CRC.
type run struct {
	off, n int64
	crc    uint64
}

const (
	// maxRuns bounds the runs of one object, 24 bytes each: one that is filled at random.
	maxRuns = 4096
	// proveFrom is how many bytes of an object are on disk when it is worth to ask for
	// its checksum: it will be needed when all are.
	proveFrom = 8 << 20
)

// add notes that n bytes from off on went to the disk.
func (pf *proof) add(off, n int64, crc uint64) {
	i, _ := slices.BinarySearchFunc(pf.runs, off, func(r run, off int64) int { return int(min(max(r.off-off, -1), 1)) })
	if i > 0 && pf.runs[i-1].off+pf.runs[i-1].n > off || i < len(pf.runs) && pf.runs[i].off < off+n {
		pf.drop() // twice: which of them is there?
		return
	}
	r := run{off, n, crc}
	if i < len(pf.runs) && pf.runs[i].off == off+n {
		r = r.join(pf.runs[i])
		pf.runs = slices.Delete(pf.runs, i, i+1)
	}
	switch {
	case i > 0 && pf.runs[i-1].off+pf.runs[i-1].n == off:
		pf.runs[i-1] = pf.runs[i-1].join(r)
	case len(pf.runs) < maxRuns:
		pf.runs = slices.Insert(pf.runs, i, r)
	}
}

func (pf *proof) drop() { pf.runs = nil }

// join gives the run of r and next, which follows it.
func (r run) join(next run) run {
	return run{r.off, r.n + next.n, manifest.JoinCRC64NVME(r.crc, next.crc, next.n)}
}

// prover hashes what is about to be written of o; nil when nothing would come of it.
// o.mu is held.
func (c *Cache) prover(o *object) hash.Hash64 {
	if o.has(flagVerified|flagNoSum) || o.gated() || o.pieced() || o.whole() {
		return nil
	}
	obj := o.Object
	if obj.Checksums == "" {
		obj.Checksums = o.recorded
	}
	sum, ok := pickSum(obj, o.sums)
	if !ok {
		c.askSums(o)
	}
	if sum.Alg != manifest.SumCRC64NVME {
		return nil
	}
	h, _ := sum.Alg.New().(hash.Hash64)
	return h
}

// askSums asks the source for checksums, once and before they are needed, when much
// of o is here. o.mu is held.
func (c *Cache) askSums(o *object) {
	if o.proof.asks || o.stored < proveFrom || c.ctx.Err() != nil {
		return
	}
	o.proof.asks = true
	c.table.hold(o)
	c.wg.Go(func() {
		defer c.table.release(o)
		_, _ = c.wholeSum(c.ctx, o) // the check of the whole asks again
	})
}

// provenSum computes the CRC-64 of the whole: what was hashed on its way to the disk
// is not read again. read is how many bytes were.
func (c *Cache) provenSum(ctx context.Context, o *object, polite bool) (sum []byte, read int64, err error) {
	o.mu.Lock()
	runs := slices.Clone(o.proof.runs)
	o.mu.Unlock()
	var all run
	for _, r := range append(runs, run{off: o.size}) {
		if r.off > all.n {
			h, _ := manifest.SumCRC64NVME.New().(hash.Hash64)
			if err := c.hashRange(ctx, o, h, all.n, r.off, polite); err != nil {
				return nil, read, err
			}
			read += r.off - all.n
			all = all.join(run{all.n, r.off - all.n, h.Sum64()})
		}
		if r.n > 0 {
			all = all.join(r)
		}
	}
	return binary.BigEndian.AppendUint64(nil, all.crc), read, nil
}
