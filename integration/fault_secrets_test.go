package integration_test

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"html"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"golang.org/x/sys/unix"
)

// gossip is a server that answers whatever it is asked with all that it was sent: in
// the header, in the body, as a redirect. It is S3, GCS, Azure, a web server and the
// server that gives tokens.
type gossip struct {
	status atomic.Int32
	text   atomic.Pointer[string] // of the answer, with what was sent for %s

	mu   sync.Mutex // guards all below
	sent map[string]bool
}

func (g *gossip) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body := new(bytes.Buffer)
	_, _ = body.ReadFrom(r.Body)
	said := r.URL.String() + " " + body.String()
	for name, values := range r.Header {
		said += " " + name + ": " + strings.Join(values, ",")
	}
	g.note(r, said)
	if strings.HasSuffix(r.URL.Path, "/token") && g.status.Load() != http.StatusBadRequest {
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(w, `{"access_token":%q,"token_type":"Bearer","expires_in":3600}`, canaryToken)
		return
	}
	names := []string{"X-Amz-Request-Id", "X-Ms-Error-Code", "Www-Authenticate", "Location"}
	if g.status.Load() != http.StatusOK { // an ETag is recorded as it is, which is what it is for
		names = append(names, "Etag", "X-Amz-Version-Id")
	}
	for _, name := range names {
		w.Header().Set(name, strings.ReplaceAll(said, "\n", " "))
	}
	w.Header().Set("Content-Type", "application/xml")
	w.WriteHeader(int(g.status.Load()))
	text := *g.text.Load()
	if strings.HasPrefix(text, "<") {
		said = html.EscapeString(said)
	}
	fmt.Fprintf(w, text, said)
}

// note remembers which secrets came, to show that the test is about something.
func (g *gossip) note(r *http.Request, said string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, canary := range canaries() {
		if strings.Contains(said, canary) {
			g.sent[canary] = true
		}
	}
	if strings.Contains(said, "assertion=") {
		g.sent["assertion"] = true
	}
}

// The secrets; none may be in anything that pinfs writes.
const (
	canarySecret    = "CANARY/aws+secret+key+0123456789abcdef"
	canarySession   = "CANARYawsSessionToken0123456789"
	canarySignature = "CANARYazureSASsignature012345"
	canaryHeader    = "CANARY.bearer.header.0123456789"
	canaryPassword  = "CANARY-netrc-password"
	canaryToken     = "ya29.CANARYgoogleToken0123456789"
)

// canaries are the secrets in all forms that are as good as they.
func canaries() []string {
	basic := base64.StdEncoding.EncodeToString([]byte("me:" + canaryPassword))
	return []string{canarySecret, canarySession, canarySignature, canaryHeader, canaryPassword, basic, canaryToken}
}

// secretHost is a host that knows secrets for each source, all of which are g.
func secretHost(t *testing.T, endpoint string) *host {
	t.Helper()
	h := newHost(t)
	addr := strings.TrimPrefix(endpoint, "http://")
	write(t, filepath.Join(h.dir, ".netrc"), "machine localhost login me password "+canaryPassword+"\n")
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	account, err := json.Marshal(map[string]string{
		"type": "service_account", "client_email": "me@example.test", "private_key_id": "1", "token_uri": endpoint + "/token",
		"private_key": string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})),
	})
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(h.dir, "account.json"), string(account))
	return h.with("PINFS_LOG_LEVEL=debug", "NO_PROXY=*", "AWS_ENDPOINT_URL="+endpoint, "AWS_ENDPOINT_URL_S3="+endpoint,
		"AWS_ACCESS_KEY_ID=AKIDEXAMPLE", "AWS_SECRET_ACCESS_KEY="+canarySecret, "AWS_SESSION_TOKEN="+canarySession,
		"AZURE_STORAGE_ACCOUNT=devaccount", "AZURE_STORAGE_SERVICE_ENDPOINT="+endpoint+"/devaccount",
		"AZURE_STORAGE_SAS_TOKEN=sv=2025-01-05&sp=rl&sig="+canarySignature, "AZURE_STORAGE_KEY=", "AZURE_STORAGE_CONNECTION_STRING=",
		"GOOGLE_APPLICATION_CREDENTIALS="+filepath.Join(h.dir, "account.json"), "PINFS_GS_ENDPOINT="+endpoint, "STORAGE_EMULATOR_HOST=", "GCE_METADATA_HOST=127.0.0.1:1",
		"PINFS_HTTP_HEADER="+addr+" Authorization: Bearer "+canaryHeader, "NETRC="+filepath.Join(h.dir, ".netrc"))
}

// secretRefs are references to g by all sources.
func secretRefs(endpoint string) map[string]string {
	port := endpoint[strings.LastIndex(endpoint, ":"):]
	return map[string]string{
		"s3": "s3://bucket/d/key", "azure": "azblob://devaccount/container/d/key", "gcs": "gs://bucket/d/key",
		"web": endpoint + "/d/key", "netrc": "http://localhost" + port + "/d/key",
	}
}

// TestSecretsStaySecret: whatever a source answers, even all that it was sent, no secret
// gets into output, logs, status, attributes, the registry or the cache's names.
func TestSecretsStaySecret(t *testing.T) {
	t.Parallel()
	g := &gossip{sent: map[string]bool{}}
	server := httptest.NewServer(g)
	t.Cleanup(server.Close)
	h := secretHost(t, server.URL)
	refs := secretRefs(server.URL)
	contents := map[string]map[string]any{}
	for name, ref := range refs {
		contents[name] = map[string]any{"digest": "0123456789abcdef0123456789abcdef", "ref": ref, "size": 20,
			"extra": map[string]any{"etag": "0123456789abcdef0123456789abcdef", "versionID": "7"}}
	}
	h.importManifest("secrets/all", exported{1, "wandb-storage-policy-v1", map[string]any{"storageLayout": "V2"}, contents})
	written := &bytes.Buffer{}
	answers := map[int]string{
		200: "%s", 401: `{"error":{"code":401,"message":%q}}`, 403: "<Error><Code>AccessDenied</Code><Message>%s</Message></Error>",
	}
	if torture() {
		answers[302], answers[412] = "%s", "%s"
		answers[400] = "<Error><Code>ExpiredToken</Code><Message>%s</Message></Error>"
		answers[404] = "<Error><Code>%[1]s</Code><Message>%[1]s</Message></Error>"
	}
	for status, text := range answers {
		g.status.Store(int32(status))
		g.text.Store(&text)
		h.gather(t, written, refs)
	}
	g.mu.Lock()
	for _, canary := range append(canaries()[1:], "assertion") { // the key itself is never sent
		if canary != canaryPassword && !g.sent[canary] {
			t.Errorf("%s was not sent to any source: the test says nothing about it", canary)
		}
	}
	g.mu.Unlock()
	key := string(read(t, filepath.Join(h.dir, "account.json")))
	h.wantNoCanary(t, "what commands and attributes say", written.String(), key)
	for _, dir := range []string{"registry", "cache"} {
		for _, path := range filesOf(t, filepath.Join(h.dir, dir), "") {
			h.wantNoCanary(t, path, path+string(read(t, path)), key)
		}
	}
}

// gather has each kind of command fail, and mounted files be read, and collects all
// that is said about it.
func (h *host) gather(t *testing.T, written *bytes.Buffer, refs map[string]string) {
	t.Helper()
	tell := func(args ...string) {
		r := h.run(args...)
		fmt.Fprintf(written, "%s: exit %d\n%s\n%s\n", strings.Join(args, " "), r.code, r.stdout, r.stderr)
	}
	mnt, umount := h.mountUntil("secrets/all:v0")
	names := make([]string, 0, len(refs))
	for name, ref := range refs {
		names = append(names, name)
		_, err := os.ReadFile(filepath.Join(mnt, name))
		fmt.Fprintln(written, err)
		tell("put", "--name", "secrets/new", "--type", "dataset", ref)
	}
	slices.Sort(names)
	for _, name := range names {
		buf := make([]byte, 64<<10)
		if n, err := unix.Getxattr(filepath.Join(mnt, name), "user.pinfs.error", buf); err == nil {
			written.Write(buf[:n])
		}
	}
	tell("status")
	tell("--json", "status")
	tell("warm", "secrets/all:v0")
	umount()
	tell("verify", "--read", "secrets/all:v0")
	tell("get", "secrets/all:v0", "--root", filepath.Join(h.dir, "got"))
	tell("export", "secrets/all:v0")
	tell("ls", "secrets/all:v0/")
}

// wantNoCanary looks for all secrets in a text.
func (h *host) wantNoCanary(t *testing.T, where, text, account string) {
	t.Helper()
	for _, canary := range canaries() {
		if at := strings.Index(text, canary); at >= 0 {
			t.Errorf("%s holds a secret: …%s…", where, text[max(0, at-100):min(len(text), at+100)])
		}
	}
	var key struct {
		PrivateKey string `json:"private_key"`
	}
	if err := json.Unmarshal([]byte(account), &key); err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(key.PrivateKey) {
		if line = strings.TrimSpace(line); len(line) == 64 && strings.Contains(text, line) {
			t.Errorf("%s holds a line of the private key", where)
		}
	}
}
