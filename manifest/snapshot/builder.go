package snapshot

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/pinfs/pinfs/manifest"
	"github.com/pinfs/pinfs/manifest/chunks"
)

const (
	defaultMemory = 256 << 20
	minMemory     = 64 << 10
)

// BuilderOptions are the choices of NewBuilder.
type BuilderOptions struct {
	// TempDir is where spill files go; "" is the system's. They can take as much
	// room as the snapshot itself, or some more.
	TempDir string
	// MemoryBytes bounds the memory for sorting; 0 is 256 MiB, less than 64 KiB is
	// 64 KiB. Up to 40 MiB more are used when references have very many prefixes.
	MemoryBytes int64
	Meta        Meta
	// AllowShadowed: of a file and a directory of one path the directory is seen
	// and the file is kept, shadowed (manifests made elsewhere). Else it is
	// KindInvalid.
	AllowShadowed bool
}

// Builder makes a snapshot from entries in any order. It belongs to one goroutine.
type Builder struct {
	o        BuilderOptions
	meta     []byte
	prefixes *prefixTable // provisional numbers, in the order of Add
	sorter   *sorter
	chunks   *chunkStore
	rec      []byte // reused by Add
	state    error  // why it takes nothing more
}

var _ io.Closer = (*Builder)(nil)

var errSpent = errors.New("the builder was used up")

// NewBuilder makes a Builder. KindInvalid or KindLimit when o.Meta can't be kept.
func NewBuilder(o BuilderOptions) (*Builder, error) {
	meta, err := encodeMeta(o.Meta)
	if err != nil {
		return nil, err
	}
	if o.MemoryBytes == 0 {
		o.MemoryBytes = defaultMemory
	}
	o.MemoryBytes = max(o.MemoryBytes, minMemory)
	return &Builder{
		o: o, meta: meta, prefixes: newPrefixTable(),
		sorter: newSorter(o.TempDir, int(o.MemoryBytes/2)), chunks: newChunkStore(o.TempDir, int(o.MemoryBytes/8)),
	}, nil
}

// Add takes an entry; e is not kept. A path that breaks CheckPath, a size below
// SizeUnknown, an extra that is no JSON and chunks that are not Valid are
// KindInvalid, an entry of more than 16 MiB (without its chunks) is KindLimit; the
// builder can go on after these. A failed spill is final.
func (b *Builder) Add(e manifest.Entry) error {
	if b.state != nil {
		return fmt.Errorf("add entry: %w", b.state)
	}
	if err := manifest.CheckPath(e.Path); err != nil {
		return err
	}
	if e.Size < manifest.SizeUnknown {
		return invalid(e.Path, fmt.Sprintf("its size is %d", e.Size))
	}
	if err := chunks.Valid(e.Chunks, e.Size); err != nil {
		bad := invalid(e.Path, "its chunk digests can't be kept")
		bad.Err = err
		return bad
	}
	rec, err := appendRecord(b.rec[:0], &e, b.o.Meta.ExactSizes, b.prefixes, b.chunks.end())
	if err != nil {
		return err
	}
	if err = b.chunks.add(e.Chunks.Digests); err == nil {
		err = b.sorter.add(rec)
	}
	if err != nil {
		b.state = err
		return fmt.Errorf("add entry: %w", err)
	}
	if b.rec = rec; cap(rec) > 1<<20 {
		b.rec = nil
	}
	return nil
}

// Build writes the snapshot to path, which must not exist, with mode 0444, and
// syncs it; the directory is not synced. On an error nothing is left. Errors: a
// path that was added twice, or shadowed when that is not allowed, is KindInvalid
// with the path, quoted, as Ref; more than 2^32-1 files and directories is KindLimit. The
// builder is used up after it.
func (b *Builder) Build(ctx context.Context, path string) (Summary, error) {
	if b.state != nil {
		return Summary{}, fmt.Errorf("build snapshot: %w", b.state)
	}
	b.state = errSpent
	sum, err := b.build(ctx, path)
	if closeErr := b.Close(); err == nil && closeErr != nil {
		err = fmt.Errorf("build snapshot: %w", closeErr)
	}
	return sum, err
}

func (b *Builder) build(ctx context.Context, path string) (Summary, error) {
	limit := int(b.o.MemoryBytes / 4)
	src, err := b.sorter.sorted(ctx, limit)
	if err != nil {
		return Summary{}, fmt.Errorf("build snapshot: %w", err)
	}
	out, err := createOutput(path)
	if err != nil {
		return Summary{}, fmt.Errorf("build snapshot: %w", err)
	}
	sp := newSpool(b.o.TempDir, limit)
	defer sp.Close()
	t := newTree(out, sp, b.prefixes.list, b.o.AllowShadowed)
	t.chunks = b.chunks
	sum, err := b.write(ctx, t, src)
	if err != nil {
		out.abort()
		return Summary{}, fmt.Errorf("build snapshot: %w", err)
	}
	return sum, nil
}

// write fills the output: sections, digest, page 0.
func (b *Builder) write(ctx context.Context, t *tree, src source) (Summary, error) {
	if err := t.addAll(ctx, src); err != nil {
		return Summary{}, err
	}
	b.sorter.free()
	if err := t.finish(ctx); err != nil {
		return Summary{}, err
	}
	if err := t.out.section(sectionMeta, 0, b.meta); err != nil {
		return Summary{}, err
	}
	if err := t.out.endSections(); err != nil {
		return Summary{}, err
	}
	t.out.h.nodes, t.out.h.totals = t.nodes, t.totals
	return t.out.finish(ctx)
}

// Close removes what was spilled. It is safe after Build and more than once.
func (b *Builder) Close() error {
	if b.state == nil {
		b.state = errSpent
	}
	return errors.Join(b.sorter.Close(), b.chunks.Close())
}
