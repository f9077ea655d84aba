package cache

import (
	"log/slog"

	"github.com/dgraph-io/badger/v4"
)

// BadgerLog is what badger logs to.
func BadgerLog(log *slog.Logger) badger.Logger { return &badgerLog{log: log} }
