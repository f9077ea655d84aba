package gcsstore_test

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pinfs/pinfs/backends/gcsstore"
	"github.com/pinfs/pinfs/manifest"

	"github.com/pinfs/pinfs/backends/backendtest"
)

// google is a fake of the storage, of the server that gives tokens and of the
// metadata server, in one.
type google struct {
	*fake
	token  atomic.Value // string: the one that is given, and that opens the storage
	issued atomic.Int32
	asked  atomic.Int32 // of the metadata server
	refuse atomic.Int32 // status with which tokens are refused; 0 gives them
}

func newGoogle(t *testing.T) *google {
	t.Helper()
	g := &google{}
	g.token.Store(canary)
	g.fake = backendtest.NewScripted(t, func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.URL.Path == "/token", strings.HasPrefix(r.URL.Path, "/computeMetadata/"):
			g.give(w, r)
		case r.Header.Get("Authorization") != "Bearer "+g.token.Load().(string):
			refuse(w, r, 401, "authError", "Invalid Credentials")
		case isContent(r):
			content(w, "7")
		case isList(r):
			fmt.Fprint(w, objects("", object("dir/key", 7)))
		default:
			fmt.Fprint(w, object("dir/key", 7))
		}
	})
	return g
}

func (g *google) give(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path != "/token" {
		g.asked.Add(1)
		if r.Header.Get("Metadata-Flavor") != "Google" {
			w.WriteHeader(http.StatusForbidden)
			return
		}
	}
	w.Header().Set("Content-Type", "application/json")
	if status := g.refuse.Load(); status != 0 {
		w.WriteHeader(int(status))
		fmt.Fprintf(w, `{"error":"invalid_grant","error_description":"Token has been expired\n or revoked.","sent":%q}`, canary)
		return
	}
	g.issued.Add(1)
	fmt.Fprintf(w, `{"access_token":%q,"token_type":"Bearer","expires_in":3600}`, g.token.Load())
}

// storage tells requests for objects from those for tokens.
func storage(r *http.Request) bool { return strings.HasPrefix(r.URL.Path, "/storage/") }

// accountFile makes the key of a service account whose tokens come from g.
func (g *google) accountFile(t *testing.T, dir string) string {
	t.Helper()
	text, err := privateKey()
	if err != nil {
		t.Fatal(err)
	}
	return writeJSON(t, filepath.Join(dir, "application_default_credentials.json"), map[string]string{
		"type": "service_account", "client_email": "x@y.iam", "private_key_id": "1", "token_uri": g.URL + "/token",
		"private_key": text,
	})
}

// privateKey is one for all tests: it takes a second.
var privateKey = sync.OnceValues(func() (string, error) {
	private, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return "", err
	}
	der, err := x509.MarshalPKCS8PrivateKey(private)
	return string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})), err
})

func writeJSON(t *testing.T, path string, v any) string {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestCredentials: where they are looked for, first things first, and how often a
// token is asked for.
func TestCredentials(t *testing.T) {
	for _, c := range []struct {
		name     string
		set      func(t *testing.T, g *google, o *gcsstore.Options)
		metadata int32
		tokens   int32
	}{
		{"option", func(t *testing.T, g *google, o *gcsstore.Options) {
			o.CredentialsFile = g.accountFile(t, t.TempDir())
			t.Setenv("GOOGLE_APPLICATION_CREDENTIALS", "/nonexistent")
		}, 0, 1},
		{"environment", func(t *testing.T, g *google, _ *gcsstore.Options) {
			t.Setenv("GOOGLE_APPLICATION_CREDENTIALS", g.accountFile(t, t.TempDir()))
			writeJSON(t, filepath.Join(os.Getenv("CLOUDSDK_CONFIG"), "application_default_credentials.json"), "junk")
		}, 0, 1},
		{"gcloud", func(t *testing.T, g *google, _ *gcsstore.Options) { g.accountFile(t, os.Getenv("CLOUDSDK_CONFIG")) }, 0, 1},
		{"machine", func(*testing.T, *google, *gcsstore.Options) {}, 1, 1},
		{"home", func(t *testing.T, g *google, _ *gcsstore.Options) {
			t.Setenv("CLOUDSDK_CONFIG", "")
			home := t.TempDir()
			t.Setenv("HOME", home)
			if err := os.MkdirAll(filepath.Join(home, ".config", "gcloud"), 0o700); err != nil {
				t.Fatal(err)
			}
			g.accountFile(t, filepath.Join(home, ".config", "gcloud"))
		}, 0, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			setenv(t)
			g := newGoogle(t)
			t.Setenv("GCE_METADATA_HOST", strings.TrimPrefix(g.URL, "http://"))
			o := gcsstore.Options{Endpoint: g.URL}
			c.set(t, g, &o)
			s := open(t, o)
			if n := g.CountOf(nil); n != 0 {
				t.Errorf("%d requests before the first call", n)
			}
			var wg sync.WaitGroup
			for range 10 {
				wg.Go(func() {
					if got, err := backendtest.Read(t.Context(), s, byGeneration("7"), 0, -1); got != "abc" || err != nil {
						t.Errorf("%q, %v", got, err)
					}
				})
			}
			wg.Wait()
			if infos, err := backendtest.List(t.Context(), s, "gs://bucket/dir/"); err != nil || len(infos) != 1 {
				t.Errorf("%v, %v", infos, err)
			}
			if g.asked.Load() != c.metadata || g.issued.Load() != c.tokens {
				t.Errorf("the metadata server was asked %d times, want %d; %d tokens, want %d", g.asked.Load(), c.metadata, g.issued.Load(), c.tokens)
			}
		})
	}
}

// TestUser: a person's credentials, and the project that they name for the quota.
func TestUser(t *testing.T) {
	setenv(t)
	g := newGoogle(t)
	// The server that gives persons their tokens can't be named: it is dialled here.
	there := &http.Transport{DialTLSContext: dial(g), DialContext: dial(g)}
	t.Cleanup(there.CloseIdleConnections)
	path := writeJSON(t, filepath.Join(t.TempDir(), "user"), map[string]string{
		"type": "authorized_user", "client_id": "i", "client_secret": canary, "refresh_token": canary, "quota_project_id": "quota",
	})
	for payer, want := range map[string]string{"": "quota", "payer": ""} {
		s := open(t, gcsstore.Options{Endpoint: g.URL, CredentialsFile: path, Transport: there, UserProject: payer})
		if _, err := s.Stat(t.Context(), byGeneration("7")); err != nil {
			t.Fatal(err)
		}
		if got := g.Last(t).Header.Get("X-Goog-User-Project"); got != want {
			t.Errorf("payer %q: project %q in the header, want %q", payer, got, want)
		}
	}
	g.refuse.Store(400)
	s := open(t, gcsstore.Options{Endpoint: g.URL, CredentialsFile: path, Transport: there})
	_, err := s.Stat(t.Context(), byGeneration("7"))
	wantError(t, err, manifest.KindDenied, "invalid_grant", "Token has been expired or revoked.", "gcloud auth application-default login")
}

// TestNoCredentials: it is said soon, once for all, and nothing is sent.
func TestNoCredentials(t *testing.T) {
	silent, err := net.Listen("tcp", "127.0.0.1:0") // takes connections and says nothing
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	for name, host := range map[string]string{"refused": "127.0.0.1:1", "silent": silent.Addr().String()} {
		t.Run(name, func(t *testing.T) {
			setenv(t)
			t.Setenv("GCE_METADATA_HOST", host)
			f := backendtest.NewScripted(t, func(http.ResponseWriter, *http.Request) {})
			s := open(t, gcsstore.Options{Endpoint: f.URL})
			start := time.Now()
			for range 20 {
				_, err := s.Stat(t.Context(), byGeneration("7"))
				wantError(t, err, manifest.KindDenied, "no credentials", "GOOGLE_APPLICATION_CREDENTIALS", "--gs-anonymous")
			}
			if d := time.Since(start); d > 20*time.Second { // 3 s each would be a minute
				t.Errorf("20 calls took %v", d)
			}
			if n := f.CountOf(nil); n != 0 {
				t.Errorf("%d requests", n)
			}
		})
	}
}

// TestBadFiles: what is wrong with a file of credentials, without its content.
func TestBadFiles(t *testing.T) {
	dir := t.TempDir()
	noJSON := filepath.Join(dir, "text")
	if err := os.WriteFile(noJSON, []byte(canary), 0o600); err != nil {
		t.Fatal(err)
	}
	for path, word := range map[string]string{
		filepath.Join(dir, "nothing"): "no such file",
		noJSON:                        "no JSON",
		dir:                           "no file of credentials",
		writeJSON(t, filepath.Join(dir, "type"), map[string]string{"type": "x", "private_key": canary}): "not of a known type",
	} {
		setenv(t)
		_, err := gcsstore.New(t.Context(), gcsstore.Options{Endpoint: "http://127.0.0.1:1", CredentialsFile: path})
		wantError(t, err, manifest.KindInvalid, word, path)
		t.Setenv("GOOGLE_APPLICATION_CREDENTIALS", path)
		s := open(t, gcsstore.Options{Endpoint: "http://127.0.0.1:1"})
		_, err = s.Stat(t.Context(), byGeneration("7"))
		wantError(t, err, manifest.KindDenied, word, path, "gcloud")
	}
}

// TestExpired: credentials that are refused are read again, once for each call;
// when that does not help, it is said.
func TestExpired(t *testing.T) {
	setenv(t)
	g := newGoogle(t)
	g.accountFile(t, os.Getenv("CLOUDSDK_CONFIG"))
	s := open(t, gcsstore.Options{Endpoint: g.URL})
	if _, err := s.Stat(t.Context(), byGeneration("7")); err != nil {
		t.Fatal(err)
	}
	g.token.Store(canary + "-2")
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			if got, err := backendtest.Read(t.Context(), s, byGeneration("7"), 0, -1); got != "abc" || err != nil {
				t.Errorf("%q, %v", got, err)
			}
		})
	}
	wg.Wait()
	if n := g.issued.Load(); n != 2 {
		t.Errorf("%d tokens, want 2: one renewal for all", n)
	}
	// No token: whoever gives them is down, which passes; or refuses, for a while at least.
	g.token.Store(canary + "-3")
	for _, c := range []struct {
		status int32
		kind   manifest.Kind
	}{{503, manifest.KindUnreachable}, {400, manifest.KindDenied}, {0, manifest.KindDenied}} {
		g.refuse.Store(c.status)
		_, err := s.Stat(t.Context(), byGeneration("7"))
		wantError(t, err, c.kind, "credentials", "invalid_grant")
	}
}

// TestRefusedToken: a token that is valid and refused is asked for twice, not for ever.
func TestRefusedToken(t *testing.T) {
	setenv(t)
	g := newGoogle(t)
	closed := backendtest.NewScripted(t, func(w http.ResponseWriter, r *http.Request) { refuse(w, r, 401, "authError", "Invalid Credentials") })
	g.accountFile(t, os.Getenv("CLOUDSDK_CONFIG"))
	s := open(t, gcsstore.Options{Endpoint: closed.URL})
	_, err := s.Stat(t.Context(), byGeneration("7"))
	wantError(t, err, manifest.KindDenied, "Invalid Credentials", "renew")
	if n := closed.CountOf(storage); n != 2 {
		t.Errorf("%d requests, want 2", n)
	}
}

// TestRedirect: it is not followed, and the token stays here.
func TestRedirect(t *testing.T) {
	setenv(t)
	g := newGoogle(t)
	g.accountFile(t, os.Getenv("CLOUDSDK_CONFIG"))
	elsewhere := backendtest.NewScripted(t, func(http.ResponseWriter, *http.Request) {})
	f := backendtest.NewScripted(t, func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, elsewhere.URL, http.StatusFound) })
	s := open(t, gcsstore.Options{Endpoint: f.URL})
	_, err := s.Stat(t.Context(), byGeneration("7"))
	wantError(t, err, manifest.KindInvalid, "302")
	_, err = backendtest.Read(t.Context(), s, byGeneration("7"), 0, -1)
	wantError(t, err, manifest.KindInvalid, "302")
	if n := elsewhere.CountOf(nil); n != 0 {
		t.Errorf("%d requests went elsewhere", n)
	}
}

// TestEndpoint: which server is asked, and whether it gets credentials.
func TestEndpoint(t *testing.T) {
	f := backendtest.NewScripted(t, func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, object("dir/key", 7)) })
	host := strings.TrimPrefix(f.URL, "http://")
	there := &http.Transport{DialTLSContext: dial(&google{fake: f}), DialContext: dial(&google{fake: f})}
	defer there.CloseIdleConnections()
	for name, c := range map[string]struct{ option, env, want string }{
		"Google's":         {"", "", "storage.googleapis.com"},
		"option":           {"http://gcs.corp.example/storage/v1/", "", "gcs.corp.example"},
		"emulator":         {"", f.URL, host},
		"emulator, bare":   {"", host, host},
		"emulator, a path": {"", f.URL + "/storage/v1/", host},
		"option first":     {f.URL, "http://127.0.0.1:1", host},
	} {
		t.Run(name, func(t *testing.T) {
			setenv(t)
			t.Setenv("STORAGE_EMULATOR_HOST", c.env)
			s := open(t, gcsstore.Options{Endpoint: c.option, Transport: there, Anonymous: c.env == ""})
			if _, err := s.Stat(t.Context(), byGeneration("7")); err != nil {
				t.Fatal(err)
			}
			if r := f.Last(t); r.Host != c.want || r.URL.Path != "/storage/v1/b/bucket/o/dir/key" || r.Header.Get("Authorization") != "" {
				t.Errorf("asked %s%s, want host %s", r.Host, r.URL.Path, c.want)
			}
		})
	}
	setenv(t)
	for _, endpoint := range []string{"http://", "ftp://host", "http://a b"} {
		_, err := gcsstore.New(t.Context(), gcsstore.Options{Endpoint: endpoint})
		wantError(t, err, manifest.KindInvalid, "http://host:port")
	}
}
