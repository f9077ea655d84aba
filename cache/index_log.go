package cache

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/dgraph-io/badger/v4"
)

// badgerLog hands badger's messages on; what it calls info is noise here. On a
// broken disk it repeats some a hundred times a second, so that of those that come
// fast only some are kept: logBurst, and one each logEvery after that.
type badgerLog struct {
	log *slog.Logger

	mu   sync.Mutex // guards what follows
	full time.Time  // when there is room for logBurst messages again
}

const (
	logBurst = 20
	logEvery = 10 * time.Second
)

var _ badger.Logger = (*badgerLog)(nil)

// Errorf logs an error.
func (l *badgerLog) Errorf(f string, v ...any) { l.write(slog.LevelError, f, v) }

// Warningf logs a warning.
func (l *badgerLog) Warningf(f string, v ...any) { l.write(slog.LevelWarn, f, v) }

// Infof logs what only a debugger of badger wants to know.
func (l *badgerLog) Infof(f string, v ...any) { l.log.Debug(badgerText(f, v)) }

// Debugf logs nothing.
func (l *badgerLog) Debugf(string, ...any) {}

func (l *badgerLog) write(level slog.Level, f string, v []any) {
	if l.room(time.Now()) {
		l.log.Log(context.Background(), level, badgerText(f, v))
	}
}

// room takes the room of one message, if there is any.
func (l *badgerLog) room(now time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	full := l.full
	if full.Before(now) {
		full = now
	}
	if full.Sub(now) > (logBurst-1)*logEvery {
		return false
	}
	l.full = full.Add(logEvery)
	return true
}

func badgerText(f string, v []any) string {
	return "cache index: " + strings.TrimSpace(fmt.Sprintf(f, v...))
}
