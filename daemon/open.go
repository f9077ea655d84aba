package daemon

import (
	"fmt"

	"github.com/pinfs/pinfs/fusefs"
	"github.com/pinfs/pinfs/manifest/snapshot"
)

// OpenAuto is a way to open files beside fusefs.OpenStateless and OpenPassthrough: it
// chooses one of them by what the mounted version holds.
const OpenAuto = "auto"

// OpenModes are the values of MountRequest.Open.
func OpenModes() []string {
	return []string{OpenAuto, string(fusefs.OpenStateless), string(fusefs.OpenPassthrough)}
}

// largeMean is the mean size of files, bytes, from which on OpenAuto takes
// passthrough. It saves copies: the kernel reads what is in memory about three
// times as fast as through the pages of a FUSE file, which is some 50 µs for a
// MiB. It costs a request for each open and one for each close, 0.1 to 0.2 ms of CPU
// together, and all descriptors of a file have to agree on the mode. At 3 MiB that
// is even; five times that is where it pays without doubt, and where whole
// versions are models and shards rather than samples. The mean, and not the size
// of most bytes, since the opens of many small files beside a few large ones
// would pay for it.
const largeMean = 16 << 20

// openMode is what the request says, with its default.
func (r MountRequest) openMode() string {
	if r.Open == "" {
		return string(fusefs.OpenStateless)
	}
	return r.Open
}

// chooseOpen gives the mode to ask the kernel for, and why if that was a choice.
// tree is nil for a mount of more than one version.
func (r MountRequest) chooseOpen(tree *fusefs.Tree) (mode fusefs.OpenMode, why string) {
	switch mode := r.openMode(); {
	case mode != OpenAuto:
		return fusefs.OpenMode(mode), ""
	case tree == nil:
		return fusefs.OpenStateless, "a mount of many versions"
	case r.verify() == VerifyStrict:
		return fusefs.OpenStateless, "strict verification checks each block that is read from disk"
	}
	return chooseBySize(tree.Snapshot.Summary())
}

// chooseBySize is the choice for one version. Files of unknown size count for
// nothing, and do not help either.
func chooseBySize(s snapshot.Summary) (mode fusefs.OpenMode, why string) {
	known := s.Files - s.Shadowed - s.UnknownSizes
	if known <= 0 || s.Bytes <= 0 {
		return fusefs.OpenStateless, "no sizes are known"
	}
	mean := s.Bytes / known
	why = fmt.Sprintf("files of %.2f MiB on average", float64(mean)/(1<<20))
	if mean < largeMean {
		return fusefs.OpenStateless, why
	}
	return fusefs.OpenPassthrough, why
}

// openStatus tells how files are opened, and why: the choice, or what is in the way.
func (m *mount) openStatus() (mode, why string) {
	is, failed := m.mounted.Open()
	if failed != "" {
		return string(is), fmt.Sprintf("no passthrough: %s", failed)
	}
	return string(is), m.openWhy
}
