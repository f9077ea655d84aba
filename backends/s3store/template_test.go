package s3store_test

import (
	"maps"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"github.com/pinfs/pinfs/backends/backendtest"
	"github.com/pinfs/pinfs/backends/s3store"
	"github.com/pinfs/pinfs/manifest"
)

// heard is what a server was sent.
type heard struct {
	mu       sync.Mutex
	requests []*http.Request
}

func (h *heard) server(t *testing.T) *fake {
	return backendtest.NewScripted(t, func(w http.ResponseWriter, r *http.Request) {
		h.mu.Lock()
		h.requests = append(h.requests, r.Clone(r.Context()))
		h.mu.Unlock()
		ok(w, r)
	})
}

// TestRequestsAreTheSDKs: the second request to a bucket, made without the SDK, is
// what the SDK sends for that object, but for what differs each time.
func TestRequestsAreTheSDKs(t *testing.T) {
	objects := map[string]manifest.Object{"whole": byETag("e", 3), "version": byVersion("v1/+&=", "e", 3)}
	for _, key := range []string{"a b+ü%23%?#&=~'()*!$@:;,/x", "a//b", "/a", "x/../y", "x/./y", "x/", "%2F"} {
		o := byETag("e", 3)
		o.Ref = "s3://bucket/" + key
		objects[key] = o
	}
	for name, o := range map[string]s3store.Options{"keys": {}, "payer": {RequesterPays: true}, "anonymous": {Anonymous: true}, "region": {Region: "eu-west-3"}} {
		for object, obj := range objects {
			for _, length := range []int64{-1, 2} {
				t.Run(name+"/"+object, func(t *testing.T) {
					setkeys(t)
					h := &heard{}
					o.Endpoint = h.server(t).URL
					for _, warm := range []bool{false, true} {
						s := open(t, o)
						if warm {
							read(t, s, byETag("e", 3), -1)
						}
						read(t, s, obj, length)
					}
					same(t, h.requests[0], h.requests[2])
				})
			}
		}
	}
}

func read(t *testing.T, s *s3store.Store, obj manifest.Object, length int64) {
	t.Helper()
	body, _, err := s.Open(t.Context(), obj, 0, length)
	if err != nil {
		t.Fatal(err)
	}
	body.Close()
}

// same compares what does not differ each time; the signature covers the rest.
func same(t *testing.T, sdk, own *http.Request) {
	t.Helper()
	if sdk.Method != own.Method || sdk.RequestURI != own.RequestURI {
		t.Errorf("got %s %s, want %s %s", own.Method, own.RequestURI, sdk.Method, sdk.RequestURI)
	}
	want, got := steady(sdk.Header), steady(own.Header)
	if !maps.Equal(want, got) {
		t.Errorf("got headers %v, want %v", got, want)
	}
}

// steady gives headers without the SDK's own counts and times. Of a signature, what
// it is by.
func steady(h http.Header) map[string]string {
	all := map[string]string{}
	for name, v := range h {
		switch name {
		case "Amz-Sdk-Invocation-Id", "Amz-Sdk-Request", "X-Amz-Date":
		case "Authorization":
			all[name], _, _ = strings.Cut(v[0], ",")
		default:
			all[name] = strings.Join(v, "|")
		}
	}
	return all
}

// TestTemplateRefused: a server that takes only what the SDK sends is asked by the
// SDK, at the cost of one request in all.
func TestTemplateRefused(t *testing.T) {
	f := backendtest.NewScripted(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Amz-Sdk-Invocation-Id") == "" {
			refuse(w, r, 403, "SignatureDoesNotMatch", "The signature differs.")
			return
		}
		ok(w, r)
	})
	s := store(t, f)
	for range 4 {
		read(t, s, byETag("e", 3), -1)
	}
	if n := len(f.Lines()); n != 5 {
		t.Errorf("%d requests for 4 calls, want 5", n)
	}
}

// TestSignatures: what is signed without the SDK is signed as the SDK's signer does, and
// holds no line that a manifest slipped in.
func TestSignatures(t *testing.T) {
	for name, token := range map[string]string{"key": "", "session": "TOKEN/+=="} {
		t.Run(name, func(t *testing.T) {
			setkeys(t)
			t.Setenv("AWS_SESSION_TOKEN", token)
			h := &heard{}
			s := open(t, s3store.Options{Endpoint: h.server(t).URL, Region: "eu-west-3", RequesterPays: token != ""})
			objects := []manifest.Object{byVersion("v1/+&= ~é", "e", 3), byETag("e", 3), byETag("a  b", 3), byETag("e\r\nX-Evil: 1", 3)}
			for _, key := range []string{"a b+ü%23%?#&=~'()*!$@:;,/x", "x/", "%2F", "a//b"} {
				o := byETag("e", 3)
				o.Ref = "s3://bucket/" + key
				objects = append(objects, o)
			}
			read(t, s, byETag("e", 3), -1)
			for _, obj := range objects {
				for _, length := range []int64{-1, 2} {
					if body, _, err := s.Open(t.Context(), obj, 0, length); err == nil {
						body.Close()
					}
				}
			}
			if n := len(h.requests); n <= 2*(len(objects)-1) { // the evil one is not sent
				t.Errorf("%d requests for %d objects", n, len(objects))
			}
			for _, r := range h.requests {
				signedAlike(t, r, token)
			}
		})
	}
}

// signedAlike signs what came once more.
func signedAlike(t *testing.T, came *http.Request, token string) {
	t.Helper()
	at, err := time.Parse("20060102T150405Z", came.Header.Get("X-Amz-Date"))
	if err != nil {
		t.Fatal(err)
	}
	again := came.Clone(t.Context())
	again.URL.Scheme, again.URL.Host = "http", came.Host
	keys := aws.Credentials{AccessKeyID: "AKIDTEST", SecretAccessKey: canary, SessionToken: token}
	signer := v4.NewSigner(func(o *v4.SignerOptions) { o.DisableURIPathEscaping = true })
	if err := signer.SignHTTP(t.Context(), keys, again, came.Header.Get("X-Amz-Content-Sha256"), "s3", "eu-west-3", at); err != nil {
		t.Fatal(err)
	}
	if got, want := came.Header.Get("Authorization"), again.Header.Get("Authorization"); got != want {
		t.Errorf("%s: got %q, want %q", came.RequestURI, got, want)
	}
	if came.Header.Get("X-Evil") != "" {
		t.Errorf("%s: a manifest wrote into the header", came.RequestURI)
	}
}
