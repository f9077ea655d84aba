package daemon

import (
	"github.com/pinfs/pinfs/fusefs"
	"github.com/pinfs/pinfs/manifest/snapshot"
)

// pushFront is what a front knows of what the kernel was given ahead of its reader.
type pushFront struct {
	job    *job   // the last one; nil: none
	batch  uint32 // how many files the next one has
	cool   uint32 // how many reads to wait before the next one
	cooled uint32 // how long that was last
	looked bool   // the reader's names had to be looked up
	listed uint32 // behind the last file whose name was listed
}

// pushed gives how far the reader may have come without asking.
func (f *pushFront) pushed() uint32 {
	if f.job == nil {
		return 0
	}
	return f.job.to
}

// push has names and contents brought to the kernel, for the reader whose read r is.
// dir is the directory of the file; beyond it is pushed only what a reader is known
// to go on to.
func (f *pushFront) push(p *pushes, r fusefs.FirstRead, dir snapshot.Node, crossed bool) (from, to uint32) {
	if !f.due(r) {
		return 0, 0
	}
	j := &job{by: r.At, from: r.Index + 2}
	if f.job != nil {
		j.from = max(j.from, f.job.reached)
	}
	end := dir.First + dir.Count
	if crossed {
		end = r.Tree.Snapshot.Nodes()
	}
	j.to = j.from
	if f.cool == 0 {
		j.to = min(j.from+max(f.batch, firstPushed), max(end, j.from))
	}
	j.marker = max(j.from, j.to-min(j.to, markerBefore))
	j.at.Store(r.Index)
	if f.names(p, j, end); len(j.places) == 0 && j.from == j.to || !p.start(j) {
		return 0, 0
	}
	f.job = j
	return j.from, j.to
}

// due tells whether it is time for another job, and learns from the last one.
func (f *pushFront) due(r fusefs.FirstRead) bool {
	switch {
	case r.Looked:
		f.looked = true
	case r.Index >= f.listed:
		f.looked = false // it knows the names from somewhere else
	}
	if f.cool > 0 {
		f.cool--
	}
	j := f.job
	if j == nil {
		return true
	}
	j.at.Store(r.Index)
	if !j.ended.Load() || !j.failed && r.Index < j.marker {
		return false
	}
	if j.to > j.from && !j.judged {
		j.judged = true
		f.judge(j)
	}
	return true
}

// judge decides how much is pushed next, by how j went.
func (f *pushFront) judge(j *job) {
	if !j.failed {
		f.batch, f.cooled = min(2*max(f.batch, firstPushed), mostPushed), 0
		return
	}
	f.batch = firstPushed
	f.cooled = min(max(2*f.cooled, leastCool), mostCool)
	f.cool = f.cooled
}

// names has j list the names that come next, if its reader needs that.
func (f *pushFront) names(p *pushes, j *job, end uint32) {
	if p.list == nil || !f.looked {
		return
	}
	for at := max(j.by.Index+1, f.listed); at < end && at <= j.by.Index+listAhead && len(j.places) < mostPlaces; {
		place, ok := p.place(j.by, at)
		if !ok {
			return
		}
		place.Names = min(place.Names, mostListed)
		j.places = append(j.places, place)
		at += uint32(place.Names)
		f.listed = at
	}
}
