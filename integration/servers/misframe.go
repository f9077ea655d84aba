package servers

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strconv"
	"time"
)

// misframe makes an answer's header lie, and its body short, as f wants, and gives
// the body.
func misframe(resp *http.Response, f *Fault) io.Reader {
	if f.Short == 0 && f.Shift == 0 && f.Total == 0 && f.Pad == 0 && f.Truncate == nil {
		return resp.Body
	}
	body := resize(resp, f)
	if first, last, total, ok := contentRange(resp.Header); ok {
		resp.Header.Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", first+f.Shift, last+f.Shift-f.Short, total+f.Total))
	}
	return body
}

// resize makes the body of an answer shorter or longer, with its Content-Length.
func resize(resp *http.Response, f *Fault) io.Reader {
	length, err := strconv.ParseInt(resp.Header.Get("Content-Length"), 10, 64)
	if err != nil {
		return resp.Body // sent in chunks: nobody was told a length
	}
	keep := max(0, length-f.Short)
	if f.Truncate != nil {
		keep = min(keep, *f.Truncate)
	}
	resp.Header.Set("Content-Length", strconv.FormatInt(keep+f.Pad, 10))
	return io.MultiReader(io.LimitReader(resp.Body, keep), bytes.NewReader(make([]byte, f.Pad)))
}

// contentRange gives what a header says of its body, offsets inclusive.
func contentRange(h http.Header) (first, last, total int64, ok bool) {
	m := regexp.MustCompile(`^bytes (\d+)-(\d+)/(\d+)$`).FindStringSubmatch(h.Get("Content-Range"))
	if m == nil {
		return 0, 0, 0, false
	}
	var n [3]int64
	for i := range n {
		var err error
		if n[i], err = strconv.ParseInt(m[i+1], 10, 64); err != nil {
			return 0, 0, 0, false
		}
	}
	return n[0], n[1], n[2], true
}

// tricklePause is the time between two pieces of a body that trickles.
const tricklePause = 50 * time.Millisecond

// trickle copies rate bytes a second.
func (p *FaultProxy) trickle(ctx context.Context, w http.ResponseWriter, body io.Reader, rate int64) {
	piece := max(1, rate*int64(tricklePause)/int64(time.Second))
	for {
		if _, err := io.CopyN(w, body, piece); err != nil {
			return
		}
		if http.NewResponseController(w).Flush() != nil || !p.pause(ctx, tricklePause) {
			return
		}
	}
}
