package fusefs

import (
	"context"

	"github.com/pinfs/pinfs/manifest"
)

// adopt goes on with the handles that the table has: of files that another process
// answered for. objectOf gives what a node is.
func (s *opens) adopt(objectOf func(id uint64) (manifest.Object, error)) {
	if s.table == nil {
		return
	}
	inUse := map[int32]bool{}
	for place := range s.table.mem.used {
		row := s.table.mem.nodes[place]
		if row.id == 0 {
			continue
		}
		if row.handles == 0 { // it was being closed
			s.table.handles(place, 0)
			continue
		}
		n := &openNode{users: int(row.handles), place: place, decided: row.backing != modeOpen}
		obj, err := objectOf(row.id)
		if err != nil {
			s.files.log.Warn("a file that is open can't be found", "error", err)
		}
		n.obj = obj
		if row.backing > 0 {
			n.file = s.files.adopt(obj, row.backing, err == nil)
			inUse[row.backing] = true
		}
		s.nodes[row.id] = n
	}
	for _, id := range s.table.mem.ids {
		if id != 0 && !inUse[id] {
			s.files.unregister(id)
		}
	}
}

// adopt counts a user of the file that the kernel knows by id. All handles of a node
// must be of that number, so it stays even if the lender has nothing to do with it any
// more.
func (s *backings) adopt(obj manifest.Object, id int32, known bool) *backing {
	if b := s.files[obj.Key()]; known && b != nil && b.id == id {
		b.users++
		return b
	}
	b := &backing{key: obj.Key(), users: 1, id: id}
	if !known {
		return b
	}
	loan, file := s.lender.Lend(obj, func() { s.revoked(b) })
	if loan != nil {
		b.loan = loan
		_ = file.Close() // the kernel has its own
	}
	if _, ok := s.files[b.key]; !ok {
		s.files[b.key] = b
	}
	return b
}

// ready is Loan.Ready of a file that was taken.
func (b *backing) ready(ctx context.Context) error {
	if b.loan == nil {
		return nil
	}
	return b.loan.Ready(ctx)
}

// objectOf gives the object of a node.
func (f *fileSystem) objectOf(id uint64) (manifest.Object, error) {
	n, s, err := f.slotOf(id)
	if err != nil {
		return manifest.Object{}, err
	}
	ctx, cancel := context.WithTimeout(f.base, f.o.NamesTimeout)
	defer cancel()
	held, err := f.trees.acquire(ctx, n.slot, s)
	if err != nil {
		return manifest.Object{}, err
	}
	defer f.trees.release(held)
	rec, err := held.tree.Snapshot.Node(n.index)
	if err != nil {
		return manifest.Object{}, err
	}
	return held.tree.Snapshot.Object(rec.Index)
}
