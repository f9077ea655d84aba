package servers

import (
	"cmp"
	_ "embed" // what is loaded before Azurite
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/pinfs/pinfs/integration/servers/azgate"
)

//go:embed azurite.js
var azuriteJS []byte

const (
	azuriteVersion = "3.37.0" // tools.sh has the same

	// The account and the key that every Azurite has; Microsoft publishes them.
	azuriteAccount = "devstoreaccount1"
	azuriteKey     = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
)

// Azure is the blob service of a running Azurite behind an azgate. All methods
// but Stop, Kill and Restart may be called from many goroutines at once.
type Azure struct {
	// Endpoint is http://127.0.0.1:port/account; of a gate that adds versions, or of
	// Azurite itself.
	Endpoint string
	Account  string
	Key      string // base64

	*program
	direct    string
	transport *http.Transport
}

// StartAzure starts a server for one test and ends it with the test.
func StartAzure(t testing.TB) *Azure {
	t.Helper()
	return forTest(t, StartAzureMain)
}

// StartAzureMain starts a server for a whole test binary, from its TestMain. stop
// ends it and removes its data; it must be called before os.Exit.
func StartAzureMain() (s *Azure, stop func(), err error) { return tried(startAzure) }

// WithoutVersions gives the same account as one that keeps no versions. What one
// of the two writes the other can't follow: give each its own containers.
func (s *Azure) WithoutVersions() *Azure {
	direct := *s
	direct.Endpoint = s.direct
	return &direct
}

func startAzure() (*Azure, error) {
	script, err := azuriteScript()
	if err != nil {
		return nil, err
	}
	node, err := exec.LookPath("node")
	if err != nil {
		return nil, fmt.Errorf("node is missing: run integration/tools.sh install test (%w)", err)
	}
	addr, err := freePort()
	if err != nil {
		return nil, err
	}
	upstream := &url.URL{Scheme: "http", Host: addr}
	h := azgate.New(upstream, azgate.Credential{Account: azuriteAccount, Key: azuriteKey})
	g, err := openGate(h)
	if err != nil {
		return nil, err
	}
	s := &Azure{
		Endpoint: g.endpoint + "/" + azuriteAccount, direct: upstream.String() + "/" + azuriteAccount,
		Account: azuriteAccount, Key: azuriteKey, transport: &http.Transport{MaxIdleConnsPerHost: 64},
		program: &program{closers: []func(){h.Close, g.close}},
	}
	s.closers = append(s.closers, s.transport.CloseIdleConnections)
	if s.dir, err = os.MkdirTemp("", "pinfs-azure-"); err != nil {
		g.close()
		return nil, err
	}
	ready, err := s.WithoutVersions().accountSAS(time.Now().Add(24 * time.Hour))
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(s.dir))
	}
	s.process = &process{
		name: "azurite", ready: s.direct + "?comp=list&" + ready, logPath: s.path("log"),
		command: func() *exec.Cmd { return s.azurite(node, script, upstream) },
	}
	if err := os.WriteFile(s.path("before.js"), azuriteJS, 0o600); err != nil {
		s.remove()
		return nil, err
	}
	return s, s.run("data")
}

func azuriteScript() (string, error) {
	dir, err := toolDir("azurite", azuriteVersion)
	if err != nil {
		return "", err
	}
	script := filepath.Join(dir, "node_modules/azurite/dist/src/blob/main.js")
	if _, err := os.Stat(script); err != nil {
		return "", fmt.Errorf("azurite is missing: run integration/tools.sh install test (%w)", err)
	}
	return script, nil
}

// azurite runs without looking at the version of the API: clients are ahead of it.
func (s *Azure) azurite(node, script string, at *url.URL) *exec.Cmd {
	cmd := exec.Command(node, "--require", s.path("before.js"), script, "--silent", "--disableTelemetry", "--skipApiVersionCheck",
		"--blobHost", at.Hostname(), "--blobPort", at.Port(), "--location", s.path("data"))
	cmd.Dir = s.dir
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + s.dir}
	return cmd
}

// ConnectionString is what Azure's SDKs take.
func (s *Azure) ConnectionString() string { return s.connectionString(s.Endpoint) }

func (s *Azure) connectionString(endpoint string) string {
	return "DefaultEndpointsProtocol=http;AccountName=" + s.Account + ";AccountKey=" + s.Key + ";BlobEndpoint=" + endpoint + ";"
}

// Env gives the environment, as name=value, in which a command that follows
// Azure's conventions talks to this server with its key and to nobody else.
// endpoint is another one, such as a fault proxy's; "" is Endpoint.
func (s *Azure) Env(endpoint string) []string {
	endpoint = cmp.Or(endpoint, s.Endpoint)
	return []string{
		"AZURE_STORAGE_ACCOUNT=" + s.Account,
		"AZURE_STORAGE_KEY=" + s.Key,
		"AZURE_STORAGE_SERVICE_ENDPOINT=" + endpoint,
		"AZURE_STORAGE_CONNECTION_STRING=" + s.connectionString(endpoint),
		"AZURE_STORAGE_SAS_TOKEN=",
		"AZURE_TENANT_ID=", "AZURE_CLIENT_ID=", "AZURE_CLIENT_SECRET=",
		"AZURE_CONFIG_DIR=/nonexistent",
		// What asks a host for its identity asks a port that refuses at once.
		"AZURE_POD_IDENTITY_AUTHORITY_HOST=http://" + closedPort,
		"IDENTITY_ENDPOINT=http://" + closedPort, "IDENTITY_HEADER=none",
	}
}

// Setenv puts Env into the test's own environment, for code that runs in the
// test binary. Not for parallel tests.
func (s *Azure) Setenv(t testing.TB) {
	t.Helper()
	setenv(t, s.Env(""))
}
