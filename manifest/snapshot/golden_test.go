package snapshot_test

import (
	"fmt"
	"testing"

	"github.com/pinfs/pinfs/manifest"
	"github.com/pinfs/pinfs/manifest/snapshot"
)

// TestSameBytes: what has neither chunks nor pins beside its digests makes the
// bytes that the first pinfs made, so that its snapshots are found again.
func TestSameBytes(t *testing.T) {
	var entries []manifest.Entry
	for i := range 1000 {
		entries = append(entries, s3Entry(fmt.Sprintf("d%d/f%d", i%10, i), i))
	}
	_, sum := build(t, snapshot.BuilderOptions{Meta: snapshot.Meta{ExactSizes: true, Header: manifest.DefaultHeader()}}, entries...)
	if want := "b4f86b2b1be091411971481aef83a3e4dc03f68ae83d3d84fab6cb9b027ca5cc"; sum.SHA256 != want {
		t.Errorf("got %s, want %s", sum.SHA256, want)
	}
}
