package cache

import (
	"context"
	"hash"
	"slices"

	"github.com/pinfs/pinfs/manifest"
)

// proof is what was hashed of an object on its way to the disk, so that the check of
// the whole need not read it back: the CRCs of runs, which can be joined. It is of
// the bytes whose CRC32Cs the tables have; when one of these is in doubt, all of it
// is dropped, and the check reads the disk.
type proof struct {
	alg    manifest.SumAlg
	joiner manifest.Joiner
	runs   []run // by offset; none touches another
	asking bool  // the source was asked for its checksums, or is
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

// prover hashes a part while its bytes arrive and are in the processor's cache.
type prover struct {
	alg manifest.SumAlg
	hash.Hash
	n int64 // bytes hashed
}

// upTo hashes the first n bytes of b, less those that were; all when some came again.
func (pr *prover) upTo(b []byte, n int64) {
	if n < pr.n {
		pr.Reset()
		pr.n = 0
	}
	_, _ = pr.Write(b[pr.n:n]) // a hash does not fail
	pr.n = n
}

// add notes that what pr hashed, n bytes from off on, went to the disk. Runs of another
// algorithm are of no use any more: what the whole is checked against has changed.
func (pf *proof) add(off, n int64, pr *prover) {
	if pf.alg != pr.alg {
		pf.alg, pf.joiner, pf.runs = pr.alg, pr.alg.Joiner(), nil
	}
	pf.insert(run{off, n, crcOf(pr)})
}

func (pf *proof) insert(r run) {
	off, n := r.off, r.n
	i, _ := slices.BinarySearchFunc(pf.runs, off, func(r run, off int64) int { return int(min(max(r.off-off, -1), 1)) })
	if i > 0 && pf.runs[i-1].off+pf.runs[i-1].n > off || i < len(pf.runs) && pf.runs[i].off < off+n {
		pf.drop() // twice: which of them is there?
		return
	}
	if i < len(pf.runs) && pf.runs[i].off == off+n {
		r = pf.join(r, pf.runs[i])
		pf.runs = slices.Delete(pf.runs, i, i+1)
	}
	switch {
	case i > 0 && pf.runs[i-1].off+pf.runs[i-1].n == off:
		pf.runs[i-1] = pf.join(pf.runs[i-1], r)
	case len(pf.runs) < maxRuns:
		pf.runs = slices.Insert(pf.runs, i, r)
	}
}

func (pf *proof) drop() { pf.runs = nil }

// join gives the run of r and next, which follows it.
func (pf *proof) join(r, next run) run {
	return run{r.off, r.n + next.n, pf.joiner.Join(r.crc, next.crc, next.n)}
}

// prove begins to hash what arrives of p, if it is to be written and a hash will do.
func (c *Cache) prove(o *object, p *part) {
	if !p.keep || o.small() || p.proof != nil {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	p.proof = c.prover(o, p)
}

// prover gives what hashes p, which is to be written; nil when nothing would come
// of it. Where the source is still to be asked, it is the CRC that it will tell, by what
// it told of others. o.mu is held.
func (c *Cache) prover(o *object, p *part) *prover {
	if o.has(flagVerified|flagNoSum) || o.gated() || o.pieced() || o.whole() {
		return nil
	}
	sum, _ := o.sum()
	if c.unasked(o) {
		c.askSoon(o, p.n)
		sum.Alg = c.tellers.guess(manifest.SourceOf(o.Ref))
	}
	if sum.Alg == manifest.SumCRC32C || sum.Alg.Joiner() == nil {
		return nil // the blocks' own CRC32Cs do
	}
	if p.proof != nil && p.proof.alg == sum.Alg {
		return p.proof // it began when p arrived
	}
	return &prover{alg: sum.Alg, Hash: sum.Alg.New()}
}

// provenSum computes the CRC of the whole: what was hashed on its way to the disk
// is not read again. read is how many bytes were.
func (c *Cache) provenSum(ctx context.Context, o *object, alg manifest.SumAlg, polite bool) (sum []byte, read int64, err error) {
	o.mu.Lock()
	runs := o.proof.of(alg)
	o.mu.Unlock()
	proof := proof{joiner: alg.Joiner()} // this goroutine's own
	var all run
	for _, r := range append(runs, run{off: o.size}) {
		if r.off > all.n {
			h := alg.New()
			if err := c.hashRange(ctx, o, h, all.n, r.off, polite); err != nil {
				return nil, read, err
			}
			read += r.off - all.n
			all = proof.join(all, run{all.n, r.off - all.n, crcOf(h)})
		}
		if r.n > 0 {
			all = proof.join(all, r)
		}
	}
	return crcBytes(alg, all.crc), read, nil
}

// of gives a copy of the runs if they are alg's.
func (pf *proof) of(alg manifest.SumAlg) []run {
	if pf.alg != alg {
		return nil
	}
	return slices.Clone(pf.runs)
}
