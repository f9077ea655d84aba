package manifest

import (
	"cmp"
	"slices"
	"strings"
)

// Near gives those of have that want may be a slip of the keyboard for, at most
// three, the nearest first: a case apart, or no more edits (a letter more, less,
// other, or two swapped) than a third of want's letters, at least one. It is for
// the hint of a KindNotFound.
func Near(want string, have []string) []string {
	type near struct {
		name  string
		edits int
	}
	letters := []rune(strings.ToLower(want))
	most := max(1, len(letters)/3)
	var found []near
	for _, name := range have {
		if edits := editDistance(letters, []rune(strings.ToLower(name)), most); edits <= most && name != want {
			found = append(found, near{name, edits})
		}
	}
	slices.SortFunc(found, func(a, b near) int {
		return cmp.Or(cmp.Compare(a.edits, b.edits), cmp.Compare(a.name, b.name))
	})
	var names []string
	for _, n := range slices.Compact(found) {
		names = append(names, n.name)
	}
	return names[:min(3, len(names))]
}

// editDistance is the optimal string alignment distance of a and b, or anything
// above most when it is above most. Three rows of the matrix are enough.
func editDistance(a, b []rune, most int) int {
	if d := len(a) - len(b); d > most || -d > most {
		return most + 1
	}
	before, last, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := range a {
		row[0] = i + 1
		for j := range b {
			edits := min(last[j+1]+1, row[j]+1, last[j]+differ(a[i], b[j]))
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				edits = min(edits, before[j-1]+1)
			}
			row[j+1] = edits
		}
		if slices.Min(row) > most {
			return most + 1
		}
		before, last, row = last, row, before
	}
	return last[len(b)]
}

func differ(a, b rune) int {
	if a == b {
		return 0
	}
	return 1
}
