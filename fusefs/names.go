package fusefs

import (
	"context"
	"time"

	"github.com/pinfs/pinfs/manifest/snapshot"
)

// Names gives the names of a registry, for mounts that show more than one
// version. All methods may be called from many goroutines at once. Errors are
// *manifest.Error; KindNotFound is for names that do not exist.
type Names interface {
	// Projects lists all projects.
	Projects(ctx context.Context) ([]string, error)

	// Tree lists the versions and aliases of all artifacts of a project, in any
	// order. Digest and Created may be left out here.
	Tree(ctx context.Context, project string) ([]Listed, error)

	// Lookup finds one name of Tree as it is now. It must be cheap: it is asked
	// once a second for each name in use.
	Lookup(ctx context.Context, project, name string) (Listed, error)

	// Open opens the version that name ("mnist:v3", no alias) stands for. The
	// caller closes the Tree's snapshot.
	Open(ctx context.Context, project, name string) (*Tree, error)
}

// Listed is one name in a project: a version or an alias.
type Listed struct {
	// Name is artifact:version or artifact:alias, one path component.
	Name string
	// Target is, for an alias, the Name of its version; "" for a version.
	Target string
	// Digest is, for a version, what tells its content from any other under the
	// same name, such as the manifest's digest or the hash of its snapshot. It
	// equals Tree.Digest.
	Digest string
}

// Tree is a version that can be shown.
type Tree struct {
	Snapshot *snapshot.Snapshot
	Project  string
	Name     string    // "mnist:v3"
	Digest   string    // as Listed.Digest
	Created  time.Time // stands for modification times that are not known
	// Unpinned gives the reference that was recorded without a pin and by which a
	// path is in Snapshot; "" for what was pinned. nil when all was.
	Unpinned func(path string) string
}
