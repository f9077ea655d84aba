package servers_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/pinfs/pinfs/integration/servers"
)

// behind gives a client of srv that goes through the proxy and never retries.
func behind(t *testing.T, srv *servers.S3, p *servers.FaultProxy) *s3.Client {
	return s3.New(srv.Client(t).Options(), func(o *s3.Options) {
		o.BaseEndpoint = aws.String(p.Endpoint)
		o.Retryer = aws.NopRetryer{}
	})
}

func fetch(ctx context.Context, c *s3.Client, key string) ([]byte, error) {
	out, err := c.GetObject(ctx, &s3.GetObjectInput{Bucket: aws.String("bucket"), Key: &key})
	if err != nil {
		return nil, err
	}
	defer out.Body.Close()
	return io.ReadAll(out.Body)
}

// TestFaultProxy checks each fault, and that signed requests for odd keys pass.
func TestFaultProxy(t *testing.T) {
	srv := servers.StartS3(t)
	p := servers.StartFaultProxy(t, srv.Endpoint)
	c := behind(t, srv, p)
	srv.CreateBucket(t, "bucket", true)
	key := "dir/ä +%41#?b"
	data := bytes.Repeat([]byte("0123456789"), 10_000)
	srv.Put(t, "bucket", key, data)

	if got, err := fetch(t.Context(), c, key); err != nil || !bytes.Equal(got, data) {
		t.Fatalf("no fault: %d bytes, %v", len(got), err)
	}
	p.Inject(servers.Fault{Status: 503, Code: "SlowDown", Skip: 1, Times: 2})
	for i, want := range []bool{true, false, false, true} {
		if _, err := fetch(t.Context(), c, key); (err == nil) != want {
			t.Errorf("request %d around two times 503: %v", i, err)
		}
	}
	p.Inject(servers.Fault{Cut: servers.At(50_000), Times: 1})
	if got, err := fetch(t.Context(), c, key); err == nil || len(got) != 50_000 {
		t.Errorf("cut: %d bytes, %v", len(got), err)
	}
	p.Inject(servers.Fault{Flip: servers.At(70_001), Times: 1})
	got, err := fetch(t.Context(), c, key)
	if err != nil || got[70_001] == data[70_001] || !bytes.Equal(got[70_002:], data[70_002:]) || !bytes.Equal(got[:70_001], data[:70_001]) {
		t.Errorf("flip: %d bytes, %v", len(got), err)
	}
	p.Inject(servers.Fault{Stall: servers.At(10)})
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if got, err := fetch(ctx, c, key); !errors.Is(err, context.DeadlineExceeded) || len(got) > len(data)/2 {
		t.Errorf("stall: %d bytes, %v", len(got), err)
	}
	p.Heal()
	if _, err := fetch(t.Context(), c, key); err != nil {
		t.Errorf("healed: %v", err)
	}
	if n := p.Count(func(method, _ string) bool { return method == http.MethodGet }); n != 9 {
		t.Errorf("%d GETs counted, want 9", n)
	}
	wantTraffic(t, p, servers.Traffic{Bytes: int64(len(data)), Peak: 1}, func() error {
		_, err := fetch(t.Context(), c, key)
		return err
	})
}

// wantTraffic wants what one more call makes. A request before it may still be
// ending behind its client's back, so that it takes tries.
func wantTraffic(t *testing.T, p *servers.FaultProxy, want servers.Traffic, call func() error) {
	t.Helper()
	var got servers.Traffic
	for range 50 {
		p.Traffic()
		if err := call(); err != nil {
			t.Fatal(err)
		}
		if got = p.Traffic(); got == want {
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
	t.Errorf("traffic %+v, want %+v", got, want)
}
