package azstore

import (
	"context"
	"errors"
	"net/http"

	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/container"

	"github.com/pinfs/pinfs/backends"
	"github.com/pinfs/pinfs/manifest"
)

// object is one line of a listing.
type object struct {
	name  string
	state state
}

// page is an answer to a request of a listing; its objects are current ones.
type page = backends.Page[object]

// tryer is once or again.
type tryer func(context.Context, func(context.Context) error) error

// page sends one request. The first one finds out whether versions can be listed.
func (l *listing) page(ctx context.Context, a backends.Ask) (page, error) {
	if !l.begun {
		return l.begin(ctx, a)
	}
	a.Level = a.Level && !l.flat.Load()
	p, err := l.ask(ctx, a, l.calls.Again)
	if a.Level && a.Token == "" && notGranted(err) { // levels and versions together: old servers
		l.flat.Store(true)
		a.Level = false
		p, err = l.ask(ctx, a, l.calls.Again)
	}
	return p, err
}

func (l *listing) begin(ctx context.Context, a backends.Ask) (page, error) {
	p, err := l.ask(ctx, a, l.calls.Once)
	if notGranted(err) {
		l.versions = false
		p, err = l.ask(ctx, a, l.calls.Once)
	}
	l.begun = err == nil
	return p, err
}

// ask sends one request as a says.
func (l *listing) ask(ctx context.Context, a backends.Ask, try tryer) (page, error) {
	include := container.ListBlobsInclude{Metadata: true, Versions: l.versions}
	var got lines
	err := try(ctx, func(ctx context.Context) (err error) {
		got, err = l.store.lines(ctx, l.at, a, include)
		return err
	})
	if err != nil {
		return page{}, err
	}
	p := page{Next: got.next, Folders: got.folders, Objects: make([]object, 0, len(got.blobs))}
	for _, b := range got.blobs {
		if name := value(b.Name); name != "" && l.current(b) {
			p.Objects = append(p.Objects, object{name, stateOf(b)})
		}
	}
	return p, nil
}

// current tells whether b is what its name means now. A blob that was written
// while its account kept no versions has no id, and is the current one.
func (l *listing) current(b *container.BlobItem) bool {
	old := l.versions && value(b.VersionID) != "" && !value(b.IsCurrentVersion)
	return !old && !value(b.Deleted) && value(b.Snapshot) == ""
}

// notGranted tells whether a listing was refused that may be granted when it asks
// for less: accounts with a hierarchical namespace have no versions.
func notGranted(err error) bool {
	var r reply
	if !errors.As(err, &r) {
		return false
	}
	switch r.status {
	case http.StatusBadRequest, http.StatusForbidden, http.StatusConflict, http.StatusNotImplemented:
		return !r.throttled()
	}
	return false
}

// lines is one page of a listing as the server gave it.
type lines struct {
	blobs   []*container.BlobItem
	folders []string
	next    string
}

// lines fetches one page of a listing of p's container.
func (s *Store) lines(ctx context.Context, p place, a backends.Ask, include container.ListBlobsInclude) (lines, error) {
	p.version, p.snapshot = "", ""
	var marker *string
	if a.Token != "" {
		marker = &a.Token
	}
	return send(ctx, s, p, func(ctx context.Context, c *container.Client) (lines, error) {
		if a.Level {
			return level(ctx, c, &container.ListBlobsHierarchyOptions{Include: include, Prefix: &a.Prefix, Marker: marker, MaxResults: s.pageSize})
		}
		out, err := c.NewListBlobsFlatPager(&container.ListBlobsFlatOptions{Include: include, Prefix: &a.Prefix, Marker: marker, MaxResults: s.pageSize}).NextPage(ctx)
		if err == nil && out.Segment == nil {
			err = errNoList
		}
		if err != nil {
			return lines{}, err
		}
		return lines{blobs: out.Segment.BlobItems, next: value(out.NextMarker)}, nil
	})
}

func level(ctx context.Context, c *container.Client, o *container.ListBlobsHierarchyOptions) (lines, error) {
	out, err := c.NewListBlobsHierarchyPager("/", o).NextPage(ctx)
	if err == nil && out.Segment == nil {
		err = errNoList
	}
	if err != nil {
		return lines{}, err
	}
	l := lines{blobs: out.Segment.BlobItems, next: value(out.NextMarker)}
	for _, f := range out.Segment.BlobPrefixes {
		l.folders = append(l.folders, value(f.Name))
	}
	return l, nil
}

// stateOf is what a listing says of a blob.
func stateOf(b *container.BlobItem) state {
	st := state{version: value(b.VersionID), folder: isFolder(b.Metadata), size: manifest.SizeUnknown}
	if q := b.Properties; q != nil {
		st.etag, st.mod, st.sums = etagOf(q.ETag), value(q.LastModified), md5Of(q.BlobType, q.ContentMD5)
		st.folder = st.folder || value(q.ResourceType) == "directory"
		if q.ContentLength != nil {
			st.size = *q.ContentLength
		}
	}
	return st
}
