package cache

import (
	"errors"
	"log/slog"
	"sync/atomic"
	"syscall"
	"time"
)

const (
	badMax     = 3                // errors in a row that make the disk a bad one
	bypassTime = 30 * time.Second // until it gets another chance
)

// health watches the cache disk. After a few errors in a row reads go through
// to the source, with one alarm; later it is tried again.
type health struct {
	log   *slog.Logger
	bad   atomic.Int64 // in a row
	until atomic.Int64 // bypass until then, unix ns; 0: healthy
	total atomic.Int64
}

func (h *health) bypassed() bool {
	until := h.until.Load()
	return until != 0 && time.Now().UnixNano() < until
}

func (h *health) failed(err error) {
	h.total.Add(1)
	if h.bad.Add(1) < badMax || h.bypassed() {
		return
	}
	first := h.until.Swap(time.Now().Add(bypassTime).UnixNano()) == 0
	if first {
		h.log.Error("cache disk fails, reading through to the source", "error", err)
	}
}

// good notes that the disk did what it should. That does not end a bypass before
// its time: what was under way when it began may still come to a good end, and the
// disk would be found bad and good again many times a second.
func (h *health) good() {
	if h.bad.Load() == 0 || h.bypassed() {
		return
	}
	h.bad.Store(0)
	if h.until.Swap(0) != 0 {
		h.log.Info("cache disk works again")
	}
}

// noteDisk notes an error of a file operation, if it is one of the disk: being
// out of descriptors, or full, passes by itself.
func (c *Cache) noteDisk(err error) {
	switch {
	case err == nil, errors.Is(err, syscall.EMFILE), errors.Is(err, syscall.ENFILE):
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		c.n.full.Add(1)
	default:
		c.health.failed(err)
	}
}

// noteIndex notes an error of the index.
func (c *Cache) noteIndex(err error) {
	if err == nil || errors.Is(err, errAbsent) {
		return
	}
	if c.n.indexErrors.Add(1) == 1 {
		c.o.Logger.Error("cache index damaged, the next start checks it", "error", err)
	}
	c.health.failed(err)
}

// readable gives the index, or nil when reads go through.
func (c *Cache) readable() *index {
	if c.health.bypassed() {
		return nil
	}
	return c.index
}
