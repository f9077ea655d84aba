package snapshot

import "strings"

// splitRef cuts a reference into a prefix that neighbours share and a tail. The
// tail is path from its component k on when mode is refPath, else tail.
func splitRef(ref, path string) (mode uint16, prefix string, k int, tail string) {
	if ref == "" {
		return refNone, "", 0, ""
	}
	if prefix, k, ok := commonTail(ref, path); ok {
		return refPath, prefix, k, ""
	}
	if i := strings.LastIndexByte(ref, '/'); i >= 0 {
		return refTail, ref[:i+1], 0, ref[i+1:]
	}
	return refText, "", 0, ref
}

// commonTail finds the longest tail of whole components that both end in.
func commonTail(ref, path string) (prefix string, k int, ok bool) {
	r, p := len(ref), len(path)
	best := -1
	for r > 0 && p > 0 && ref[r-1] == path[p-1] {
		r, p = r-1, p-1
		if (p == 0 || path[p-1] == '/') && (r == 0 || ref[r-1] == '/') {
			best = p
		}
	}
	if best < 0 {
		return "", 0, false
	}
	return ref[:len(ref)-(len(path)-best)], strings.Count(path[:best], "/"), true
}

// pathFrom gives path from its component k on.
func pathFrom(path []byte, k uint64) ([]byte, bool) {
	for i := 0; k > 0; i++ {
		if i == len(path) {
			return nil, false
		}
		if path[i] == '/' {
			path, i = path[i+1:], -1
			k--
		}
	}
	return path, true
}

// prefixTable numbers the prefixes of references, in the order they are asked
// for, until it is full.
type prefixTable struct {
	ids   map[string]uint32
	list  []string
	bytes int
	last  uint32 // asked for last: neighbours share it
}

func newPrefixTable() *prefixTable {
	return &prefixTable{ids: make(map[string]uint32)}
}

// id gives the number of prefix; false: the table is full and it is not there.
func (t *prefixTable) id(prefix string) (uint32, bool) {
	if int(t.last) < len(t.list) && t.list[t.last] == prefix {
		return t.last, true
	}
	id, ok := t.ids[prefix]
	if !ok {
		if len(t.list) == maxPrefixes || t.bytes+len(prefix) > maxPrefixBytes {
			return 0, false
		}
		id = uint32(len(t.list))
		prefix = strings.Clone(prefix)
		t.ids[prefix] = id
		t.list = append(t.list, prefix)
		t.bytes += len(prefix)
	}
	t.last = id
	return id, true
}
