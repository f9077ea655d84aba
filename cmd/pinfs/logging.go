package main

import (
	"io"
	"log/slog"
)

// newLogger logs to w, without secrets. Empty level and format take fallback and
// text.
func newLogger(w io.Writer, level, format string, fallback slog.Level) (*slog.Logger, error) {
	o := &slog.HandlerOptions{Level: fallback}
	if level != "" {
		var l slog.Level
		if err := l.UnmarshalText([]byte(level)); err != nil {
			return nil, usage("flag", "--"+flagLogLevel, "no such level: "+level, "use debug, info, warn or error")
		}
		o.Level = l
	}
	switch format {
	case "", "text":
		return slog.New(slog.NewTextHandler(scrubber{w}, o)), nil
	case "json":
		return slog.New(slog.NewJSONHandler(scrubber{w}, o)), nil
	}
	return nil, usage("flag", "--"+flagLogFormat, "no such format: "+format, "use text or json")
}

// scrubber hides secrets in what passes; slog writes one whole record at a time.
type scrubber struct{ w io.Writer }

func (s scrubber) Write(p []byte) (int, error) {
	if _, err := io.WriteString(s.w, scrub(string(p))); err != nil {
		return 0, err
	}
	return len(p), nil
}
