package azstore_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/pinfs/pinfs/backends/azstore"
	"github.com/pinfs/pinfs/manifest"

	"github.com/pinfs/pinfs/backends/backendtest"
)

// at is byETag with another reference.
func at(ref string) manifest.Object {
	obj := byETag("e", 3)
	obj.Ref = ref
	return obj
}

// TestHosts: which host is asked, what for, and what is recorded.
func TestHosts(t *testing.T) {
	f := backendtest.NewScripted(t, ok)
	for name, c := range map[string]struct {
		o          azstore.Options
		env        map[string]string
		uri        string
		host, path string
		recorded   string
	}{
		"W&B's form":        {uri: "https://other.blob.core.windows.net/cont/a b%20?#+", host: "other.blob.core.windows.net", path: "/cont/a%20b%2520%3F%23+"},
		"short form":        {uri: "azblob://other/cont/k/l", host: "other.blob.core.windows.net", path: "/cont/k%2Fl", recorded: "https://other.blob.core.windows.net/cont/k/l"},
		"China":             {uri: "https://other.blob.core.chinacloudapi.cn/cont/k", host: "other.blob.core.chinacloudapi.cn", path: "/cont/k"},
		"government":        {uri: "https://other.blob.core.usgovcloudapi.net/cont/k", host: "other.blob.core.usgovcloudapi.net", path: "/cont/k"},
		"zone":              {uri: "https://other.z13.blob.storage.azure.net/cont/k", host: "other.z13.blob.storage.azure.net", path: "/cont/k"},
		"capitals":          {uri: "https://Other.Blob.Core.Windows.Net/cont/K", host: "other.blob.core.windows.net", path: "/cont/K", recorded: "https://other.blob.core.windows.net/cont/K"},
		"root container":    {uri: "azblob://other/$root/k", host: "other.blob.core.windows.net", path: "/$root/k", recorded: "https://other.blob.core.windows.net/$root/k"},
		"emulator":          {o: azstore.Options{Endpoint: "http://10.0.0.1:10000/acct"}, uri: "azblob://acct/cont/k", host: "10.0.0.1:10000", path: "/acct/cont/k"},
		"emulator, no path": {o: azstore.Options{Endpoint: "http://localhost:10000", Account: "acct"}, uri: "azblob://acct/cont/k", host: "localhost:10000", path: "/acct/cont/k"},
		"emulator, W&B":     {o: azstore.Options{Endpoint: "http://10.0.0.1:10000/acct"}, uri: "https://acct.blob.core.windows.net/cont/k", host: "10.0.0.1:10000", path: "/acct/cont/k"},
		"emulator, other":   {o: azstore.Options{Endpoint: "http://10.0.0.1:10000/acct"}, uri: "azblob://other/cont/k", host: "other.blob.core.windows.net", path: "/cont/k", recorded: "https://other.blob.core.windows.net/cont/k"},
		"private":           {o: azstore.Options{Endpoint: "https://acct.blob.corp.example/"}, uri: "azblob://acct/cont/k", host: "acct.blob.corp.example", path: "/cont/k"},
		"variable":          {env: map[string]string{"AZURE_STORAGE_SERVICE_ENDPOINT": "http://10.0.0.2/acct"}, uri: "azblob://acct/cont/k", host: "10.0.0.2", path: "/acct/cont/k"},
		"option first":      {o: azstore.Options{Endpoint: "http://10.0.0.1/acct"}, env: map[string]string{"AZURE_STORAGE_SERVICE_ENDPOINT": "http://10.0.0.2/acct"}, uri: "azblob://acct/cont/k", host: "10.0.0.1", path: "/acct/cont/k"},
		"connection":        {env: map[string]string{"AZURE_STORAGE_CONNECTION_STRING": "AccountName=acct;BlobEndpoint=http://10.0.0.3/acct;"}, uri: "azblob://acct/cont/k", host: "10.0.0.3", path: "/acct/cont/k"},
		"connection, cloud": {env: map[string]string{"AZURE_STORAGE_CONNECTION_STRING": "AccountName=acct;EndpointSuffix=core.chinacloudapi.cn"}, uri: "azblob://acct/cont/k", host: "acct.blob.core.chinacloudapi.cn", path: "/cont/k", recorded: "https://acct.blob.core.chinacloudapi.cn/cont/k"},
	} {
		t.Run(name, func(t *testing.T) {
			setenv(t)
			for name, value := range c.env {
				t.Setenv(name, value)
			}
			c.o.Transport, c.o.Anonymous = transport(t, f), true
			infos, err := backendtest.List(t.Context(), open(t, c.o), c.uri)
			if err != nil || len(infos) != 1 {
				t.Fatalf("%v, %v", infos, err)
			}
			if c.recorded == "" {
				c.recorded = c.uri
			}
			r := f.Last(t)
			if r.Host != c.host || r.URL.EscapedPath() != c.path || infos[0].Ref != c.recorded {
				t.Errorf("asked %s %s, recorded %s; want %s %s, %s", r.Host, r.URL.EscapedPath(), infos[0].Ref, c.host, c.path, c.recorded)
			}
		})
	}
}

// TestKeys: what requests are signed with, and that it goes to its own account only.
func TestKeys(t *testing.T) {
	connection := "AccountName=acct;AccountKey=" + canaryKey
	for name, c := range map[string]struct {
		env  map[string]string
		anon bool
		ref  string
		want string // "key", "sas", "nothing", or "refused": no credentials
	}{
		"key":               {map[string]string{"AZURE_STORAGE_ACCOUNT": "acct", "AZURE_STORAGE_KEY": canaryKey}, false, "azblob://acct/c/k", "key"},
		"key, https":        {map[string]string{"AZURE_STORAGE_ACCOUNT": "acct", "AZURE_STORAGE_KEY": canaryKey}, false, "https://acct.blob.core.windows.net/c/k", "key"},
		"secondary":         {map[string]string{"AZURE_STORAGE_ACCOUNT": "acct", "AZURE_STORAGE_KEY": canaryKey}, false, "https://acct-secondary.blob.core.windows.net/c/k", "key"},
		"other account":     {map[string]string{"AZURE_STORAGE_ACCOUNT": "acct", "AZURE_STORAGE_KEY": canaryKey}, false, "azblob://other/c/k", "refused"},
		"SAS":               {map[string]string{"AZURE_STORAGE_ACCOUNT": "acct", "AZURE_STORAGE_SAS_TOKEN": "?" + sas}, false, "azblob://acct/c/k", "sas"},
		"SAS, other":        {map[string]string{"AZURE_STORAGE_ACCOUNT": "acct", "AZURE_STORAGE_SAS_TOKEN": sas}, false, "azblob://other/c/k", "refused"},
		"key before SAS":    {map[string]string{"AZURE_STORAGE_ACCOUNT": "acct", "AZURE_STORAGE_KEY": canaryKey, "AZURE_STORAGE_SAS_TOKEN": sas}, false, "azblob://acct/c/k", "key"},
		"connection":        {map[string]string{"AZURE_STORAGE_CONNECTION_STRING": connection}, false, "azblob://acct/c/k", "key"},
		"connection's SAS":  {map[string]string{"AZURE_STORAGE_CONNECTION_STRING": "BlobEndpoint=https://acct.blob.core.windows.net/;SharedAccessSignature=" + sas}, false, "azblob://acct/c/k", "sas"},
		"two accounts":      {map[string]string{"AZURE_STORAGE_CONNECTION_STRING": connection, "AZURE_STORAGE_ACCOUNT": "other", "AZURE_STORAGE_SAS_TOKEN": sas}, false, "azblob://other/c/k", "sas"},
		"anonymous":         {map[string]string{"AZURE_STORAGE_ACCOUNT": "acct", "AZURE_STORAGE_KEY": canaryKey}, true, "azblob://acct/c/k", "nothing"},
		"anonymous, SAS":    {map[string]string{"AZURE_STORAGE_ACCOUNT": "acct", "AZURE_STORAGE_SAS_TOKEN": sas}, true, "azblob://acct/c/k", "nothing"},
		"nothing":           {nil, false, "azblob://acct/c/k", "refused"},
		"nothing, in plain": {map[string]string{"AZURE_STORAGE_SERVICE_ENDPOINT": "http://10.0.0.1/acct"}, false, "azblob://acct/c/k", "refused"},
	} {
		t.Run(name, func(t *testing.T) {
			setenv(t)
			for name, value := range c.env {
				t.Setenv(name, value)
			}
			f := backendtest.NewScripted(t, ok)
			s := open(t, azstore.Options{Anonymous: c.anon, Transport: transport(t, f)})
			_, err := s.Stat(t.Context(), at(c.ref))
			if c.want == "refused" {
				wantError(t, err, manifest.KindDenied, "no credentials", "az login", "AZURE_STORAGE_KEY", "--az-anonymous")
				if n := len(f.Lines()); n != 0 {
					t.Errorf("%d requests", n)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			got := "nothing"
			switch r := f.Last(t); {
			case strings.HasPrefix(r.Header.Get("Authorization"), "SharedKey acct:"):
				got = "key"
			case strings.HasSuffix(r.URL.RawQuery, sas):
				got = "sas"
			case r.Header.Get("Authorization") != "" || r.URL.RawQuery != "":
				got = r.URL.RawQuery + r.Header.Get("Authorization")
			}
			if got != c.want {
				t.Errorf("went with %q, want %q", got, c.want)
			}
		})
	}
}

// TestSecrets: a SAS token is in no error, whoever repeats it, and in no reference.
func TestSecrets(t *testing.T) {
	setenv(t)
	t.Setenv("AZURE_STORAGE_ACCOUNT", "acct")
	t.Setenv("AZURE_STORAGE_SAS_TOKEN", sas)
	f := backendtest.NewScripted(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet && !r.URL.Query().Has("comp") {
			panic(http.ErrAbortHandler)
		}
		refuse(w, r, 403, "AuthorizationFailure", "no way to "+r.RequestURI)
	})
	s := open(t, azstore.Options{Transport: transport(t, f)})
	_, err := backendtest.Read(t.Context(), s, byETag("e", 3), 0, -1)
	wantError(t, err, manifest.KindUnreachable)
	_, err = backendtest.List(t.Context(), s, "azblob://acct/cont/dir/")
	wantError(t, err, manifest.KindDenied)
	for _, ref := range []string{"https://acct.blob.core.windows.net/c/k?" + sas, "azblob://acct/c/k?" + sas, "https://acct.blob.core.windows.net/c?x?SIG=" + canarySig} {
		_, err = backendtest.List(t.Context(), s, ref)
		wantError(t, err, manifest.KindInvalid, "SAS token", "AZURE_STORAGE_SAS_TOKEN")
		_, err = s.Stat(t.Context(), at(ref))
		wantError(t, err, manifest.KindInvalid, "SAS token")
	}
}

// TestSettings: what can't be used is said at once, without its values.
func TestSettings(t *testing.T) {
	for name, c := range map[string]struct {
		env  map[string]string
		o    azstore.Options
		word string
	}{
		"no account":      {map[string]string{"AZURE_STORAGE_SAS_TOKEN": sas}, azstore.Options{}, "AZURE_STORAGE_ACCOUNT"},
		"key":             {map[string]string{"AZURE_STORAGE_ACCOUNT": "acct", "AZURE_STORAGE_KEY": "CANARY!"}, azstore.Options{}, "AZURE_STORAGE_KEY"},
		"account":         {map[string]string{"AZURE_STORAGE_ACCOUNT": "https://acct"}, azstore.Options{}, "no name of a storage account"},
		"connection":      {map[string]string{"AZURE_STORAGE_CONNECTION_STRING": "CANARY"}, azstore.Options{}, "AZURE_STORAGE_CONNECTION_STRING"},
		"connection, key": {map[string]string{"AZURE_STORAGE_CONNECTION_STRING": "AccountName=a;AccountKey=CANARY!"}, azstore.Options{}, "AccountKey"},
		"of nobody":       {map[string]string{"AZURE_STORAGE_CONNECTION_STRING": "AccountKey=" + canaryKey}, azstore.Options{}, "names no account"},
		"short form":      {map[string]string{"AZURE_STORAGE_CONNECTION_STRING": "UseDevelopmentStorage=true"}, azstore.Options{}, "write it out"},
		"endpoint":        {nil, azstore.Options{Endpoint: "acct", Account: "acct"}, "no URL"},
		"endpoint's SAS":  {nil, azstore.Options{Endpoint: "https://acct.example.com/?" + sas}, "AZURE_STORAGE_SAS_TOKEN"},
	} {
		t.Run(name, func(t *testing.T) {
			setenv(t)
			for name, value := range c.env {
				t.Setenv(name, value)
			}
			_, err := azstore.New(t.Context(), c.o)
			wantError(t, err, manifest.KindInvalid, c.word)
		})
	}
}

// TestReferences: what is no reference to Azure Blob.
func TestReferences(t *testing.T) {
	s := store(t, backendtest.NewScripted(t, ok))
	for _, ref := range []string{"s3://b/k", "https://example.com/c/k", "https://acct.blob.core.windows.net", "azblob://acct", "azblob://acct/", "azblob://acct//k",
		"azblob:///c/k", "azblob://a@b/c/k", "azblob://acct/c%2Fd/k", "https://user@acct.blob.core.windows.net/c/k", "azblob://acct/cont", "azblob://acct/cont/"} {
		_, err := s.Stat(t.Context(), at(ref))
		wantError(t, err, manifest.KindInvalid)
	}
	_, err := backendtest.List(t.Context(), s, "azblob://acct/cont/?versionId=v")
	wantError(t, err, manifest.KindInvalid, "name of one blob")
}

// TestPrivate: to those without credentials private containers look like none.
func TestPrivate(t *testing.T) {
	setenv(t)
	for code, status := range map[string]int{"ResourceNotFound": 404, "PublicAccessNotPermitted": 409, "NoAuthenticationInformation": 401, "AuthorizationFailure": 403} {
		f := backendtest.NewScripted(t, func(w http.ResponseWriter, r *http.Request) { refuse(w, r, status, code, "x") })
		s := open(t, azstore.Options{Anonymous: true, Transport: transport(t, f)})
		_, err := s.Stat(t.Context(), byETag("e", 3))
		wantError(t, err, manifest.KindDenied, code, "AZURE_STORAGE_KEY")
		_, err = backendtest.List(t.Context(), s, "azblob://acct/cont/dir")
		wantError(t, err, manifest.KindDenied, code)
	}
}

// TestCopied: who pastes a coded URL hears that names are literal.
func TestCopied(t *testing.T) {
	f := backendtest.NewScripted(t, pages(map[string]string{"": listing("")}))
	_, err := backendtest.List(t.Context(), store(t, f), "azblob://acct/cont/my%20data")
	wantError(t, err, manifest.KindNoSource, "write 'my data'")
}

// identity is the authority that gives tokens to an application with a secret, and
// the blob service that takes them. It counts the tokens.
type identity struct {
	*fake
	asked  atomic.Int32
	valid  atomic.Value  // the token that blobs are given for; none is any
	hold   chan struct{} // if set, the authority answers when it is closed
	status int           // if set, the authority's answer
}

func newIdentity(t *testing.T) *identity {
	t.Helper()
	i := &identity{}
	i.fake = backendtest.NewScripted(t, i.serve)
	setenv(t)
	for name, value := range map[string]string{"AZURE_TENANT_ID": "tenant", "AZURE_CLIENT_ID": "pinfs", "AZURE_CLIENT_SECRET": canaryKey} {
		t.Setenv(name, value)
	}
	return i
}

func (i *identity) serve(w http.ResponseWriter, r *http.Request) {
	const authority = "https://login.microsoftonline.com/tenant/"
	switch {
	case strings.Contains(r.URL.Path, "/discovery/instance"):
		_ = json.NewEncoder(w).Encode(map[string]any{"tenant_discovery_endpoint": authority + "v2.0/.well-known/openid-configuration",
			"metadata": []any{map[string]any{"preferred_network": r.Host, "preferred_cache": r.Host, "aliases": []string{r.Host}}}})
	case strings.HasSuffix(r.URL.Path, "/openid-configuration"):
		_ = json.NewEncoder(w).Encode(map[string]string{"authorization_endpoint": authority + "oauth2/v2.0/authorize",
			"token_endpoint": authority + "oauth2/v2.0/token", "issuer": authority + "v2.0"})
	case strings.HasSuffix(r.URL.Path, "/token"):
		i.token(w)
	default:
		i.blob(w, r)
	}
}

func (i *identity) token(w http.ResponseWriter) {
	n := i.asked.Add(1)
	if i.hold != nil {
		<-i.hold
	}
	if i.status != 0 {
		w.WriteHeader(i.status)
		fmt.Fprint(w, `{"error":"invalid_client","error_description":"AADSTS7000215: Invalid client secret provided."}`)
		return
	}
	_ = json.NewEncoder(w).Encode(map[string]any{"access_token": fmt.Sprintf("CANARY-%d", n), "token_type": "Bearer", "expires_in": 3600})
}

func (i *identity) blob(w http.ResponseWriter, r *http.Request) {
	want, _ := i.valid.Load().(string)
	if got := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer "); got == "" || want != "" && got != want {
		refuse(w, r, 401, "InvalidAuthenticationInfo", "Lifetime validation failed. The token is expired.")
		return
	}
	ok(w, r)
}

// TestToken: one search serves all calls of all accounts; a token that is refused
// is replaced once.
func TestToken(t *testing.T) {
	i := newIdentity(t)
	s := open(t, azstore.Options{Transport: transport(t, i.fake)})
	var wg sync.WaitGroup
	for n := range 20 {
		wg.Go(func() {
			if _, err := s.Stat(t.Context(), at(fmt.Sprintf("azblob://acct%d/c/k", n%3))); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if n := i.asked.Load(); n != 1 {
		t.Errorf("asked for %d tokens, want 1", n)
	}
	i.valid.Store("CANARY-2")
	if got, err := backendtest.Read(t.Context(), s, at("azblob://acct0/c/k"), 0, -1); err != nil || got != "abc" {
		t.Errorf("%q, %v", got, err)
	}
	i.valid.Store("none")
	_, err := s.Stat(t.Context(), at("azblob://acct0/c/k"))
	wantError(t, err, manifest.KindDenied, "renew")
	if n := i.asked.Load(); n > 3 {
		t.Errorf("asked for %d tokens, want 3 at most", n)
	}
}

// TestTokenWait: who waits for a token goes when they like, and the search goes on
// for the others.
func TestTokenWait(t *testing.T) {
	i := newIdentity(t)
	i.hold = make(chan struct{})
	s := open(t, azstore.Options{Transport: transport(t, i.fake)})
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err := s.Stat(ctx, byETag("e", 3))
	wantError(t, err, manifest.KindTimeout)
	done := make(chan error, 1)
	go func() {
		_, err := s.Stat(t.Context(), byETag("e", 3))
		done <- err
	}()
	close(i.hold)
	if err := <-done; err != nil {
		t.Error(err)
	}
	if n := i.asked.Load(); n != 1 {
		t.Errorf("asked for %d tokens, want 1", n)
	}
}

// TestNoToken: a failed search is the answer to all who ask at that time.
func TestNoToken(t *testing.T) {
	i := newIdentity(t)
	i.status = http.StatusUnauthorized
	s := open(t, azstore.Options{Transport: transport(t, i.fake)})
	for range 10 {
		_, err := s.Stat(t.Context(), byETag("e", 3))
		wantError(t, err, manifest.KindDenied, "no credentials", "Invalid client secret", "az login")
	}
	if n := i.asked.Load(); n != 1 {
		t.Errorf("%d searches, want 1", n)
	}
}

// TestTokenUnreachable: an authority that does not answer may do so later.
func TestTokenUnreachable(t *testing.T) {
	i := newIdentity(t)
	tr := transport(t, i.fake)
	dial := tr.DialContext
	tr.DialTLSContext = func(ctx context.Context, network, address string) (net.Conn, error) {
		if strings.HasPrefix(address, "login.") {
			return nil, &net.OpError{Op: "dial", Net: network, Err: syscall.ECONNREFUSED}
		}
		return dial(ctx, network, address)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	_, err := open(t, azstore.Options{Transport: tr}).Stat(ctx, byETag("e", 3))
	wantError(t, err, manifest.KindUnreachable, "no token can be had", "connection refused")
}
