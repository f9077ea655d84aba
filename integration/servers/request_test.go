package servers_test

import (
	"fmt"
	"io"
	"net/http"
	"sync/atomic"
	"testing"
	"time"
)

// reply is an answer, read to its end.
type reply struct {
	status int
	header http.Header
	body   string
	err    error // of the body
}

// request sends a GET that follows no redirect.
func request(t testing.TB, url string, h http.Header) reply {
	t.Helper()
	return send(t, http.MethodGet, url, h)
}

func send(t testing.TB, method, url string, h http.Header) reply {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	for name, values := range h {
		req.Header[name] = values
	}
	client := &http.Client{
		Timeout:       time.Minute,
		Transport:     &http.Transport{DisableKeepAlives: true, DisableCompression: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return reply{resp.StatusCode, resp.Header, string(body), err}
}

// places counts what fresh gave.
var places atomic.Int64

// fresh gives the name of a bucket that no other test has, nor another run of the
// same.
func fresh(name string) string { return fmt.Sprintf("%s-%d", name, places.Add(1)) }
