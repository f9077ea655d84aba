package backends_test

import (
	"context"
	"io"
	"testing"

	"github.com/pinfs/pinfs/backends"
	"github.com/pinfs/pinfs/backends/memstore"
	"github.com/pinfs/pinfs/manifest"
)

// TestGuard: what is refused reaches no driver, whichever method is called.
func TestGuard(t *testing.T) {
	mem := memstore.New()
	mux := backends.NewMux(map[manifest.Source]backends.Backend{manifest.SourceMem: mem, manifest.SourceFile: refuser{t}, manifest.SourceHTTP: refuser{t}})
	g := rules(t, backends.RulesOptions{}).Guard(mux)
	ctx := context.Background()
	for _, ref := range []string{"file:///etc/shadow", "http://169.254.169.254/x"} {
		obj := manifest.Object{Ref: ref, Pin: manifest.Pin{Kind: manifest.PinMD5, Value: "x"}}
		_, statErr := g.Stat(ctx, obj)
		_, _, openErr := g.Open(ctx, obj, 0, 1)
		_, digestErr := g.Digest(ctx, backends.Info{Ref: ref})
		for method, err := range map[string]error{
			"List": g.List(ctx, ref, func(backends.Info) error { return nil }), "Stat": statErr, "Open": openErr, "Digest": digestErr,
			"DigestMany": g.DigestMany(ctx, []backends.Info{{Ref: "file:///data/x"}, {Ref: ref}}),
		} {
			if manifest.KindOf(err) != manifest.KindDenied {
				t.Errorf("%s of %s: got %v, want it refused", method, ref, err)
			}
		}
	}
	if err := g.List(ctx, "/etc", func(backends.Info) error { return nil }); manifest.KindOf(err) != manifest.KindDenied {
		t.Errorf("a plain path: got %v, want it refused", err)
	}
	if _, err := g.Stat(ctx, manifest.Object{Ref: "wandb-artifact://x/y"}); manifest.KindOf(err) != manifest.KindUnsupported {
		t.Errorf("got %v, want the mux's own error", err)
	}
}

// refuser is a driver that must not be asked.
type refuser struct{ t *testing.T }

func (r refuser) List(context.Context, string, func(backends.Info) error) error {
	r.t.Error("the driver was asked")
	return nil
}

func (r refuser) Stat(context.Context, manifest.Object) (backends.Info, error) {
	r.t.Error("the driver was asked")
	return backends.Info{}, nil
}

func (r refuser) Open(context.Context, manifest.Object, int64, int64) (body io.ReadCloser, info backends.Info, err error) {
	r.t.Error("the driver was asked")
	return nil, backends.Info{}, nil
}

func (r refuser) Close() error { return nil }
