package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync/atomic"
	"time"
)

const (
	latency       = 20 // ms, added to what the server sends
	throttleMost  = 8  // requests in flight, above them 503
	throttlePause = 2 * time.Millisecond
	startLimit    = 15 * time.Second
)

// startLatency puts toxiproxy in front of the server.
func (l *lab) startLatency(ctx context.Context) (network, error) {
	program, err := tool("toxiproxy", toxiproxyVersion)
	if err != nil {
		return network{missing: "toxiproxy: " + err.Error()}, nil
	}
	api, err := freeAddr()
	if err != nil {
		return network{}, err
	}
	listen, err := freeAddr()
	if err != nil {
		return network{}, err
	}
	_, port, err := net.SplitHostPort(api)
	if err != nil {
		return network{}, err
	}
	c, err := start(l.path("toxiproxy.log"), []string{"LOG_LEVEL=error"}, program, "-host", "127.0.0.1", "-port", port)
	if err != nil {
		return network{}, err
	}
	l.closes = append(l.closes, c.stop)
	answers := func() bool { return c.ended() || call(ctx, http.MethodGet, "http://"+api+"/version", nil) == nil }
	if err := until(ctx, startLimit, "toxiproxy", answers); err != nil {
		return network{}, err
	}
	proxy := map[string]any{"name": "s3", "listen": listen, "upstream": strings.TrimPrefix(l.server.Endpoint, "http://"), "enabled": true}
	if err := call(ctx, http.MethodPost, "http://"+api+"/proxies", proxy); err != nil {
		return network{}, fmt.Errorf("toxiproxy: %w: %s", err, c.why())
	}
	toxic := map[string]any{"type": "latency", "stream": "downstream", "attributes": map[string]int{"latency": latency}}
	if err := call(ctx, http.MethodPost, "http://"+api+"/proxies/s3/toxics", toxic); err != nil {
		return network{}, fmt.Errorf("toxiproxy: %w", err)
	}
	return network{endpoint: "http://" + listen}, nil
}

// call sends a request with a JSON body.
func call(ctx context.Context, method, url string, body any) error {
	ctx, cancel := context.WithTimeout(ctx, startLimit)
	defer cancel()
	data, err := json.Marshal(body)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, method, url, bytes.NewReader(data))
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode >= http.StatusMultipleChoices {
		text, _ := io.ReadAll(io.LimitReader(resp.Body, errorTail))
		return fmt.Errorf("%s: %s", resp.Status, text)
	}
	return nil
}

// freeAddr gives a port of the loopback interface that nobody listens on now.
func freeAddr() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}

// throttler answers 503 SlowDown when too many requests are in flight. Each takes a
// little longer than the server needs, so that they do overlap.
type throttler struct {
	next                        http.Handler
	flying, requests, throttled atomic.Int64
}

// ServeHTTP passes a request on, or refuses it.
func (t *throttler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	t.requests.Add(1)
	defer t.flying.Add(-1)
	if t.flying.Add(1) > throttleMost {
		t.throttled.Add(1)
		w.Header().Set("Content-Type", "application/xml")
		w.WriteHeader(http.StatusServiceUnavailable)
		fmt.Fprint(w, `<?xml version="1.0" encoding="UTF-8"?><Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>`)
		return
	}
	time.Sleep(throttlePause)
	t.next.ServeHTTP(w, r)
}

// startThrottle puts a throttler in front of the server, in this process.
func (l *lab) startThrottle(context.Context) (network, error) {
	target, err := url.Parse(l.server.Endpoint)
	if err != nil {
		return network{}, err
	}
	transport := &http.Transport{MaxIdleConnsPerHost: throttleMost, DisableCompression: true}
	t := &throttler{next: &httputil.ReverseProxy{Transport: transport, Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(target)
		r.Out.Host = r.In.Host // it is signed
	}}}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return network{}, err
	}
	server := &http.Server{Handler: t, ReadHeaderTimeout: startLimit}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = server.Serve(listener) // until it is closed
	}()
	l.closes = append(l.closes, func() { _ = server.Close(); <-done; transport.CloseIdleConnections() })
	traffic := func() (int64, int64) { return t.requests.Load(), t.throttled.Load() }
	return network{endpoint: "http://" + listener.Addr().String(), traffic: traffic}, nil
}
