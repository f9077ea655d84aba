package backends

import (
	"strings"

	"github.com/pinfs/pinfs/manifest"
)

// fewFolders are so few in one page that each is likely to be worth a request of
// its own.
const fewFolders = 4

// run is the pages of one folder.
type run[T any] struct {
	*walk[T]
	ask  Ask
	name string // of the object before
	dir  string // the folder before
}

// answer is a page, or why there is none.
type answer[T any] struct {
	page Page[T]
	err  error
}

// list lists a folder, flat or by level.
func (w *walk[T]) list(f folder) error {
	r := &run[T]{walk: w, ask: Ask{Prefix: f.prefix}}
	first := <-r.fetch("")
	if first.err == nil && first.page.Next != "" && !f.flat && r.large(first.page.Objects) {
		r.ask.Level = true
		first = <-r.fetch("")
	}
	return r.pages(first)
}

// pages gives a and all pages behind it.
func (r *run[T]) pages(a answer[T]) error {
	for a.err == nil && r.ctx.Err() == nil {
		var next <-chan answer[T]
		if a.page.Next != "" {
			next = r.fetch(a.page.Next)
		}
		r.send(a.page.Objects)
		if err := r.descend(a.page.Folders); err != nil {
			return err
		}
		if next == nil {
			return nil
		}
		a = <-next
	}
	return a.err
}

// fetch asks for the page of a token. The answer comes in any case.
func (r *run[T]) fetch(token string) <-chan answer[T] {
	ask, ready := Ask{r.ask.Prefix, r.ask.Level, token}, make(chan answer[T], 1)
	r.group.Go(func() error {
		var a answer[T]
		defer func() { ready <- a }()
		select {
		case r.slots <- struct{}{}:
			defer func() { <-r.slots }()
		case <-r.ctx.Done():
			return nil
		}
		a.page, a.err = r.Page(r.ctx, ask)
		if a.err == nil && a.page.Next != "" && a.page.Next == token {
			a.err = Stuck(r.URI)
		}
		return a.err
	})
	return ready
}

// large tells whether the folders below are so few in the first page, flat, that
// they seem to be large.
func (r *run[T]) large(objects []T) bool {
	counts, below := map[string]int{}, 0
	for _, o := range objects {
		rest, ok := strings.CutPrefix(r.Name(o), r.ask.Prefix)
		if dir, _, deep := strings.Cut(rest, "/"); ok && deep {
			counts[dir]++
			below++
		}
	}
	most := 0
	for _, n := range counts {
		most = max(most, n)
	}
	return len(counts) > 0 && (len(counts) <= fewFolders || most >= below/2)
}

// send gives those objects that are below the prefix and new.
func (r *run[T]) send(objects []T) {
	var fresh []T
	for _, o := range objects {
		if name := r.Name(o); strings.HasPrefix(name, r.ask.Prefix) && name != r.name {
			r.name = name
			fresh = append(fresh, o)
		}
	}
	if len(fresh) == 0 {
		return
	}
	select {
	case r.ready <- fresh:
	case <-r.ctx.Done():
	}
}

// descend sees to it that folders are listed. One that is not below the prefix
// would be listed for ever.
func (r *run[T]) descend(folders []string) error {
	for _, f := range folders {
		if !strings.HasPrefix(f, r.ask.Prefix) || len(f) == len(r.ask.Prefix) || f == r.dir {
			continue
		}
		r.dir = f
		if r.push(folder{prefix: f}) {
			continue
		}
		if err := r.list(folder{prefix: f, flat: true}); err != nil {
			return err
		}
	}
	return nil
}

// Stuck is KindUnreachable: the source says that a listing goes on, but not
// where, or where it already was.
func Stuck(uri string) error {
	return &manifest.Error{Kind: manifest.KindUnreachable, Op: "list", Ref: uri, Msg: "the server says that there is more, but not where to go on"}
}
