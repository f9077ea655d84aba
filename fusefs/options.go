package fusefs

import (
	"context"
	"log/slog"
	"os"
	"time"

	"github.com/pinfs/pinfs/manifest"
)

// Options says what a mount shows and how. Content and either Tree or Names must
// be set; all else has defaults.
type Options struct {
	Content Content

	// Tree is the one version whose files the mount shows. It stays the caller's,
	// who closes its snapshot after Mounted.Wait.
	Tree *Tree
	// Names is for mounts that show more: with Project the mount shows name:vN
	// and aliases, without it project/name:vN.
	Names   Names
	Project string

	// Follower hears in which order files are read; nil for nobody.
	Follower Follower

	// Slots is the slot table; nil starts a new one without a journal. A process
	// that takes a mount over gives the replayed one.
	Slots *Slots

	// Keeper makes the mount outlive this process; nil: it ends with it.
	Keeper Keeper

	// Memory, of NewMemory, is where a process that takes the mount over finds what is open
	// and what was asked; nil: nobody takes it over. It stays the caller's.
	Memory *os.File

	// FSName is what df and mount show as the source; "pinfs" when empty.
	FSName string
	// UID and GID own all files; nil stands for who mounts.
	UID, GID *uint32
	// AllowOther lets other users in; nil means yes for root and no for others.
	// Without root it needs user_allow_other in /etc/fuse.conf.
	AllowOther *bool
	// NonEmpty allows a mount point with something in it, which is then hidden.
	NonEmpty bool
	// ReadAheadKiB is written to the mount's read_ahead_kb where that is allowed
	// (root). 0 stands for 1024, one request: Content reads ahead of sequential
	// readers itself, and all of it is read around each page fault at random.
	// Negative leaves the kernel's own (128).
	ReadAheadKiB int

	// Open says how files are opened; "" is OpenStateless. Mounted.Open tells what
	// it came to.
	Open OpenMode

	// ReadTimeout ends a read that nothing else ended; 0 stands for 5 minutes.
	// It is the last resort: Content has its own, shorter ones for lack of progress.
	ReadTimeout time.Duration
	// NamesTimeout ends a question to Names; 0 stands for 30 s.
	NamesTimeout time.Duration
	// MaxIdleTrees is how many snapshots stay open besides those in use; 0 stands for 256.
	MaxIdleTrees int

	Logger *slog.Logger // nil stands for slog.Default
	// OnError is told of every request that failed, for the status of the mount.
	// obj is the zero Object when no object is meant. It must not block.
	OnError func(path string, obj manifest.Object, err error)

	oldKernel bool // as if the kernel did not send again what was asked; of tests
}

// withDefaults fills in what is not set and refuses what makes no sense.
func (o Options) withDefaults() (Options, error) {
	if o.Content == nil || (o.Tree == nil) == (o.Names == nil) {
		return o, &manifest.Error{Kind: manifest.KindInvalid, Op: "mount", Msg: "needs Content and one of Tree and Names"}
	}
	if o.Slots == nil {
		o.Slots = NewSlots(nil)
	}
	if o.FSName == "" {
		o.FSName = "pinfs"
	}
	o.UID, o.GID = orDefault(o.UID, uint32(os.Getuid())), orDefault(o.GID, uint32(os.Getgid()))
	o.AllowOther = orDefault(o.AllowOther, os.Geteuid() == 0)
	if o.ReadAheadKiB == 0 {
		o.ReadAheadKiB = 1024
	}
	if o.ReadTimeout <= 0 {
		o.ReadTimeout = 5 * time.Minute
	}
	if o.NamesTimeout <= 0 {
		o.NamesTimeout = 30 * time.Second
	}
	if o.MaxIdleTrees <= 0 {
		o.MaxIdleTrees = 256
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	return o, nil
}

func orDefault[T any](p *T, v T) *T {
	if p == nil {
		return &v
	}
	return p
}

// rootSlot gives the slot that the mount's root shows.
func (o Options) rootSlot() Slot {
	switch {
	case o.Tree != nil:
		return Slot{Kind: SlotVersion, Project: o.Tree.Project, Name: o.Tree.Name, Digest: o.Tree.Digest}
	case o.Project != "":
		return Slot{Kind: SlotProject, Project: o.Project}
	}
	return Slot{Kind: SlotProjects}
}

// openSlot opens the version of a slot through Names.
func (o Options) openSlot(ctx context.Context, s Slot) (*Tree, error) {
	if o.Names == nil {
		return nil, errStale // a slot of some other mount's journal
	}
	t, err := o.Names.Open(ctx, s.Project, s.Name)
	if err != nil && manifest.KindOf(err) == manifest.KindNotFound {
		return nil, &manifest.Error{Kind: manifest.KindGone, Op: "open version", Ref: s.Project + "/" + s.Name,
			Msg: "the version was deleted", Err: err}
	}
	return t, err
}
