package integration_test

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/pinfs/pinfs/backends"
	"github.com/pinfs/pinfs/backends/backendtest"
	"github.com/pinfs/pinfs/backends/gcsstore"
	"github.com/pinfs/pinfs/integration/servers"
	"github.com/pinfs/pinfs/manifest"
)

// TestGCSConformance runs the suite of all backends against fake-gcs-server behind
// its gate: the driver by itself over generations, and stacked as the command has
// it in a bucket that keeps none.
func TestGCSConformance(t *testing.T) {
	srv := shared.gcs.Get(t)
	srv.Setenv(t)
	buckets := new(atomic.Int64)
	run := func(versioned bool, wrap func(backends.Backend) backends.Backend) {
		t.Run(fmt.Sprintf("versioned=%v", versioned), func(t *testing.T) {
			w := &gcsWriter{srv: srv, etags: map[string]string{}}
			f := backendtest.Fixture{
				New: func(t *testing.T) backendtest.Source {
					bucket := fmt.Sprintf("conformance-%d", buckets.Add(1))
					srv.CreateBucket(t, bucket, versioned)
					return gcsSource(t, w, bucket, wrap)
				},
				Features:      gcsFeatures(versioned, w),
				NotApplicable: unversionedGCSCannot(versioned),
			}
			if !versioned {
				f.NoFaults = "they are for drivers, before they are wrapped"
			}
			backendtest.Run(t, f)
		})
	}
	run(true, func(b backends.Backend) backends.Backend { return b })
	run(false, func(b backends.Backend) backends.Backend { return backends.Wrap(b, backends.Options{}) })
}

// gcsFeatures: an ETag of GCS has nothing to do with the content, so that the one is
// wanted which the server gave when the content was put last.
func gcsFeatures(versioned bool, w *gcsWriter) backendtest.Features {
	return backendtest.Features{Versioned: versioned, Digest: w.etag, Extra: []string{"versionID"}, VersionMark: "#", ModTime: true}
}

// unversionedGCSCannot names the cases that need old generations, and those that
// want KindChanged: a generation that was replaced is gone, and the server does not
// tell that from one that was deleted (TestGCSReplaced has these).
func unversionedGCSCannot(versioned bool) map[string]string {
	cannot := map[string]string{}
	if versioned {
		return cannot
	}
	for _, name := range []string{"version deleted", "record a named version", "record a version that never was"} {
		cannot[name] = "the bucket keeps no generations"
	}
	for _, name := range []string{"overwritten", "overwritten with the same size", "overwritten ten times", "overwritten between two ranges",
		"overwritten by an empty object", "deleted and put again"} {
		cannot[name] = "a replaced generation is gone, not changed"
	}
	cannot["put back as it was"] = "it is another generation, and the pin is no digest of the content"
	return cannot
}

func gcsSource(t *testing.T, w *gcsWriter, bucket string, wrap func(backends.Backend) backends.Backend) backendtest.Source {
	t.Helper()
	server := w.srv.Endpoint
	if strings.HasSuffix(t.Name(), "close_leaves_no_goroutine") {
		server = w.srv.Direct // the goroutines of the gate are this process's too
	}
	p := servers.StartFaultProxy(t, server)
	p.Dialect = servers.GCSErrors
	b, err := gcsstore.New(t.Context(), gcsstore.Options{Endpoint: p.Endpoint, Retry: backendtest.Retry()})
	if err != nil {
		t.Fatal(err)
	}
	return backendtest.Source{
		Backend: wrap(b),
		Root:    "gs://" + bucket + "/root",
		Missing: "gs://no-such-bucket-here/root",
		Put:     func(key string, data []byte) error { return w.put(t.Context(), bucket, "root/"+key, data) },
		Delete:  func(key string) error { return w.srv.Remove(t.Context(), bucket, "root/"+key, 0) },
		DeleteVersion: func(obj manifest.Object) error {
			generation, err := strconv.ParseInt(obj.Pin.Value, 10, 64)
			if err != nil {
				return err
			}
			return w.srv.Remove(t.Context(), bucket, strings.TrimPrefix(obj.Ref, "gs://"+bucket+"/"), generation)
		},
		Faults: p.Suite(), Quiet: p.Quiet,
	}
}

// gcsWriter remembers the ETags of what it wrote.
type gcsWriter struct {
	srv *servers.GCS

	mu    sync.Mutex
	etags map[string]string // guarded by mu: by the MD5 of the content
}

func (w *gcsWriter) put(ctx context.Context, bucket, name string, data []byte) error {
	o, err := w.srv.Write(ctx, bucket, name, data, servers.GCSPut{})
	w.mu.Lock()
	defer w.mu.Unlock()
	w.etags[backendtest.HexMD5(data)] = o.ETag
	return err
}

func (w *gcsWriter) etag(data []byte) string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.etags[backendtest.HexMD5(data)]
}
