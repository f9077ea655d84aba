package publish

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"strings"

	"github.com/pinfs/pinfs/manifest"
)

// How many objects are asked for or read at once for what Options want beside the
// digests.
const (
	parallelAsks  = 32
	parallelReads = 16
)

// finishers is how many goroutines complete entries; 0 when nothing is wanted.
func (p *put) finishers() int {
	switch {
	case p.o.reads():
		return parallelReads
	case p.o.Checksum != "":
		return parallelAsks
	}
	return 0
}

// finish makes the entry of f with all that Options want.
func (p *put) finish(ctx context.Context, f found) (manifest.Entry, error) {
	if p.o.Copy {
		return p.copy(ctx, f)
	}
	e := f.info.Entry(f.path)
	sums, missing, err := p.sums(ctx, f)
	if err != nil {
		return e, err
	}
	if p.o.ChunkDigests || missing != "" {
		r, err := p.read(ctx, f, sums, missing)
		if err != nil {
			return e, err
		}
		e.Chunks, e.Size = r.chunks, r.size
		if missing != "" {
			sums = append(sums, manifest.Sum{Alg: missing, Value: r.sums[missing]})
		}
	}
	return withSums(e, p.wanted(e, sums)), nil
}

// sums gives what the source vouches for, and the algorithm that has to be
// computed; KindUnsupported if that would need a reading that nobody asked for.
func (p *put) sums(ctx context.Context, f found) ([]manifest.Sum, manifest.SumAlg, error) {
	sums := f.info.Sums
	if p.o.Checksum == "" || p.enough(sums) {
		return sums, "", nil
	}
	isFile, alg := manifest.SourceOf(f.info.Ref) == manifest.SourceFile, manifest.SumAlg(p.o.Checksum)
	if !isFile { // to ask for a file is to read it
		obj := f.info.Entry(f.path).Object()
		if obj.Pin.Kind == manifest.PinNone {
			return sums, "", p.lacks(f, sums)
		}
		info, err := p.o.Backend.Stat(ctx, obj)
		if err != nil {
			return nil, "", err
		}
		sums = append(slices.Clone(sums), info.Sums...)
	}
	switch {
	case p.enough(sums), p.o.Checksum == AnyChecksum:
		return sums, "", nil
	case isFile, p.o.ChunkDigests:
		return sums, alg, nil
	}
	return sums, "", p.lacks(f, sums)
}

// enough tells whether sums have what is to be recorded.
func (p *put) enough(sums []manifest.Sum) bool {
	if p.o.Checksum == AnyChecksum {
		return len(sums) > 0
	}
	return slices.ContainsFunc(sums, p.asked)
}

func (p *put) asked(sum manifest.Sum) bool { return string(sum.Alg) == p.o.Checksum }

// lacks is the error for an object without the checksum asked for; nil if any, or
// none, will do.
func (p *put) lacks(f found, have []manifest.Sum) error {
	if p.o.Checksum == AnyChecksum {
		return nil
	}
	names := make([]string, 0, len(have))
	for _, sum := range have {
		names = append(names, string(sum.Alg))
	}
	slices.Sort(names)
	return &manifest.Error{
		Kind: manifest.KindUnsupported, Op: "put", Ref: f.info.Ref, Msg: "its source has no " + p.o.Checksum + " of the whole content",
		Expected: p.o.Checksum, Found: cmp.Or(strings.Join(slices.Compact(names), ", "), "no checksum"),
		Hint: "--checksum=" + AnyChecksum + " takes what there is; with --chunk-digests it is computed",
	}
}

// wanted gives those of sums that are to be recorded: the one asked for, or all but
// what the digest says already.
func (p *put) wanted(e manifest.Entry, sums []manifest.Sum) []manifest.Sum {
	switch p.o.Checksum {
	case "":
		return nil
	case AnyChecksum:
		said, ok := e.Object().Sum()
		return slices.DeleteFunc(slices.Clone(sums), func(sum manifest.Sum) bool { return ok && sum.Alg == said.Alg })
	}
	return slices.DeleteFunc(slices.Clone(sums), func(sum manifest.Sum) bool { return !p.asked(sum) })
}

// withSums records sums in e.
func withSums(e manifest.Entry, sums []manifest.Sum) manifest.Entry {
	if len(sums) == 0 {
		return e
	}
	extra := maps.Clone(e.Extra)
	if extra == nil {
		extra = map[string]any{}
	}
	extra[manifest.ExtraChecksums] = manifest.ChecksumsExtra(sums)
	e.Extra = extra
	return e
}
