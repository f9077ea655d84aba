package daemon

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"

	"github.com/pinfs/pinfs/manifest"
)

// maxMessage bounds requests and answers, in bytes.
const maxMessage = 4 << 20

// ErrNoDaemon says that no daemon runs for the cache directory.
var ErrNoDaemon = errors.New("no daemon runs for this cache directory")

// errClosing says that the daemon is about to end and takes nothing new.
var errClosing error = &manifest.Error{Kind: manifest.KindBusy, Op: "mount", Msg: "the daemon is about to end", Hint: "try again"}

// wireError is an error between processes. The kind goes by its words, since its
// number may differ between builds.
type wireError struct {
	Kind     string `json:"kind"`
	Op       string `json:"op,omitempty"`
	Ref      string `json:"ref,omitempty"`
	Expected string `json:"expected,omitempty"`
	Found    string `json:"found,omitempty"`
	Msg      string `json:"msg,omitempty"`
	Hint     string `json:"hint,omitempty"`
	Closing  bool   `json:"closing,omitempty"` // errClosing
}

type wireAnswer struct {
	PID   int        `json:"pid,omitempty"` // of a daemon that is ready
	Error *wireError `json:"error,omitempty"`
}

// toWire keeps all that err says; causes become text.
func toWire(err error) *wireError {
	if err == errClosing {
		return &wireError{Closing: true}
	}
	var typed *manifest.Error
	if !errors.As(err, &typed) || err != error(typed) {
		return &wireError{Kind: manifest.KindOf(err).String(), Msg: err.Error()}
	}
	bare := manifest.Error{Kind: typed.Kind, Msg: typed.Msg, Err: typed.Err}
	return &wireError{Kind: typed.Kind.String(), Op: typed.Op, Ref: typed.Ref, Msg: bare.Error(),
		Expected: typed.Expected, Found: typed.Found, Hint: typed.Hint}
}

// fromWire is the error that toWire was given.
func (w *wireError) fromWire() error {
	if w.Closing {
		return errClosing
	}
	return &manifest.Error{Kind: kindOf(w.Kind), Op: w.Op, Ref: w.Ref, Msg: w.Msg,
		Expected: w.Expected, Found: w.Found, Hint: w.Hint}
}

func kindOf(words string) manifest.Kind {
	for k := manifest.KindOther; k <= manifest.KindCanceled; k++ {
		if k.String() == words {
			return k
		}
	}
	return manifest.KindOther
}

// reply answers a request with v, or with err.
func reply(w http.ResponseWriter, v any, err error) {
	w.Header().Set("Content-Type", "application/json")
	if err != nil {
		w.WriteHeader(http.StatusUnprocessableEntity)
		v = wireAnswer{Error: toWire(err)}
	}
	_ = json.NewEncoder(w).Encode(v) // the client may be gone
}

// readAnswer decodes an answer into v, or gives the error that it holds.
func readAnswer(r *http.Response, v any) error {
	body := json.NewDecoder(io.LimitReader(r.Body, maxMessage))
	if r.StatusCode == http.StatusOK {
		return body.Decode(v)
	}
	var answer wireAnswer
	if err := body.Decode(&answer); err != nil || answer.Error == nil {
		return &manifest.Error{Kind: manifest.KindOther, Op: "ask the daemon", Msg: "it answers " + r.Status,
			Hint: "it may be of another build: unmount all and mount again"}
	}
	return answer.Error.fromWire()
}
