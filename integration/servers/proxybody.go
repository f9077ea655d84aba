package servers

import (
	"context"
	"io"
	"net/http"
	"time"
)

// pause waits; false when the client or the proxy went away meanwhile.
func (p *FaultProxy) pause(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return true
	}
	select {
	case <-time.After(d):
		return true
	case <-ctx.Done():
	case <-p.done:
	}
	return false
}

// send copies the body with the faults that are in it.
func (p *FaultProxy) send(ctx context.Context, w http.ResponseWriter, body io.Reader, f *Fault) {
	if f.Flip != nil {
		body = &flipper{r: body, at: *f.Flip}
	}
	end := f.Cut
	if end == nil {
		end = f.Stall
	}
	part := body
	if end != nil {
		part = io.LimitReader(body, *end)
	}
	if f.Rate > 0 {
		p.trickle(ctx, w, part, f.Rate)
	} else {
		_, _ = io.Copy(w, part)
	}
	if end == nil {
		return
	}
	_ = http.NewResponseController(w).Flush()
	if n, _ := io.ReadFull(body, make([]byte, 1)); n == 0 {
		return // past the end
	}
	if f.Cut != nil {
		panic(http.ErrAbortHandler)
	}
	p.waitGone(ctx)
}

// waitGone waits until the client or the proxy is gone.
func (p *FaultProxy) waitGone(ctx context.Context) {
	select {
	case <-ctx.Done():
	case <-p.done:
	}
	panic(http.ErrAbortHandler) // to send nothing
}

// flipper inverts the byte at offset at.
type flipper struct {
	r  io.Reader
	at int64
}

func (f *flipper) Read(p []byte) (int, error) {
	n, err := f.r.Read(p)
	if f.at >= 0 && f.at < int64(n) {
		p[f.at] ^= 0xff
	}
	f.at -= int64(n)
	return n, err
}

// counted counts what is read.
type counted struct {
	r io.Reader
	p *FaultProxy
}

func (c *counted) Read(b []byte) (int, error) {
	n, err := c.r.Read(b)
	c.p.mu.Lock()
	defer c.p.mu.Unlock()
	c.p.traffic.Bytes += int64(n)
	return n, err
}
