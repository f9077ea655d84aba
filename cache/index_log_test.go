package cache_test

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"

	"github.com/pinfs/pinfs/cache"
)

// TestIndexLogIsBounded: badger on a broken disk repeats itself without end.
func TestIndexLogIsBounded(t *testing.T) {
	var out bytes.Buffer
	log := cache.BadgerLog(slog.New(slog.NewTextHandler(&out, nil)))
	for i := range 10_000 {
		log.Warningf("compaction %d failed\n", i)
		log.Errorf("disk gone: %d", i)
	}
	if got := strings.Count(out.String(), "\n"); got != 20 {
		t.Errorf("%d lines of 20,000 messages, want 20", got)
	}
	if !strings.Contains(out.String(), `level=WARN msg="cache index: compaction 0 failed"`) {
		t.Errorf("the first is not there: %.200s", out.String())
	}
}
