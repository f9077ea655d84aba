package servers

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

const (
	requestDeadline = time.Minute
	errorBody       = 500 // bytes of an answer that an error quotes
)

// roundTrip sends a request that has to succeed and gives all of the answer.
func roundTrip(transport *http.Transport, req *http.Request) (http.Header, []byte, error) {
	ctx, cancel := context.WithTimeout(req.Context(), requestDeadline)
	defer cancel()
	resp, err := transport.RoundTrip(req.WithContext(ctx))
	if err != nil {
		return nil, nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode >= http.StatusMultipleChoices {
		err = fmt.Errorf("%s: %.*s", resp.Status, errorBody, body)
	}
	return resp.Header, body, err
}

// setenv puts name=value pairs into the test's own environment.
func setenv(t testing.TB, env []string) {
	t.Helper()
	for _, e := range env {
		name, value, _ := strings.Cut(e, "=")
		t.Setenv(name, value)
	}
}
