package backends

import (
	"context"
	"io"
	"slices"
	"time"

	"github.com/pinfs/pinfs/manifest"
)

// WithRetry makes each call of b go on within the budget of p: KindUnreachable
// and KindThrottled are tried again, with growing pauses or the one that the
// source asks for; a silent attempt is cut and tried again; a body that breaks
// off is resumed at its offset with the same pin. Other errors come at once. The
// last error says how often it was tried; a silence is KindTimeout.
//
// A listing is tried again only while it has given nothing. Digest, and Stat and
// Open of what is pinned by its content, may read the whole object before they
// answer, so that no silence is too long there: their driver bounds each read.
//
// All calls together make at most a burst of 32 retries, then 20 in a second and
// one for each 10 calls; what is beyond waits a little longer, MaxWait at most.
func WithRetry(b Backend, p RetryPolicy) Backend { return withRetry(b, p) }

func withRetry(b Backend, p RetryPolicy) *retrying {
	return &retrying{Backend: b, policy: p.filled(), outage: &outage{}, tokens: retryTokens()}
}

type retrying struct {
	Backend
	policy RetryPolicy
	outage *outage
	tokens *tokens
	gate   *gate // hears how attempts ended; may be nil
}

func (r *retrying) budget(op, ref string) *budget {
	g := newBudget(r.policy, op, ref)
	g.outage, g.tokens, g.gate = r.outage, r.tokens, r.gate
	r.tokens.earn()
	return g
}

var (
	_ Backend      = (*retrying)(nil)
	_ ManyDigester = (*retrying)(nil)
)

func (r *retrying) List(ctx context.Context, uri string, fn func(Info) error) error {
	g := r.budget("list", uri)
	for {
		if err := Ended(ctx, g.op, uri); err != nil {
			return err
		}
		given, err := r.listOnce(ctx, g, fn)
		if err == nil || given {
			g.answered()
			return err
		}
		if err := g.next(ctx, err, 0); err != nil {
			return err
		}
	}
}

// listOnce lists under a watch that rests while fn runs; given tells whether fn
// was called.
func (r *retrying) listOnce(ctx context.Context, g *budget, fn func(Info) error) (given bool, err error) {
	defer g.clock()()
	a := newAttempt(ctx, r.policy.ListTimeout)
	defer a.end()
	var refused error
	a.watch(r.policy.ListTimeout)
	err = r.Backend.List(a.ctx, g.ref, func(info Info) error {
		a.rest()
		given = true
		if refused = fn(info); refused == nil {
			a.watch(r.policy.ListTimeout)
		}
		return refused
	})
	if refused != nil {
		return given, refused
	}
	return given, a.failure(g.op, g.ref, err)
}

func (r *retrying) Stat(ctx context.Context, obj manifest.Object) (info Info, err error) {
	g := r.budget("stat", obj.Ref)
	err = g.repeat(ctx, g.silence(obj), func(ctx context.Context) error {
		info, err = r.Backend.Stat(ctx, obj)
		return err
	})
	return info, err
}

func (r *retrying) Digest(ctx context.Context, info Info) (full Info, err error) {
	g := r.budget("digest", info.Ref)
	err = g.repeat(ctx, 0, func(ctx context.Context) error {
		full, err = digest(ctx, r.Backend, info)
		return err
	})
	return full, err
}

// DigestMany tries again those that the driver has not completed: all of them.
func (r *retrying) DigestMany(ctx context.Context, infos []Info) error {
	if len(infos) == 0 {
		return nil
	}
	return r.budget("digest", infos[0].Ref).repeat(ctx, 0, func(ctx context.Context) error {
		full := slices.Clone(infos)
		if err := DigestMany(ctx, r.Backend, full); err != nil {
			return err
		}
		copy(infos, full)
		return nil
	})
}

func (r *retrying) Open(ctx context.Context, obj manifest.Object, offset, length int64) (io.ReadCloser, Info, error) {
	s := &stream{ctx: ctx, backend: r.Backend, obj: obj, pos: offset, length: length, g: r.budget("read", obj.Ref)}
	if err := s.start(); err != nil {
		return nil, Info{}, err
	}
	return s, s.info, nil
}

// silence is how long the response for obj may take; 0 is for ever.
func (g *budget) silence(obj manifest.Object) time.Duration {
	if obj.Pin.Kind == manifest.PinMD5 {
		return 0
	}
	return g.policy.StallTimeout
}
