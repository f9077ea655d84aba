package azstore_test

import (
	"context"
	"errors"
	"net"
	"net/http"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/pinfs/pinfs/backends/azstore"
	"github.com/pinfs/pinfs/backends/backendtest"
)

// TestNoAccountNamesAHost: whatever a manifest calls the account, a host of Azure's is
// asked, over TLS, or the endpoint of that account.
func TestNoAccountNamesAHost(t *testing.T) {
	setkeys(t)
	var hosts []string
	tr := &http.Transport{DialContext: func(_ context.Context, _, addr string) (net.Conn, error) {
		hosts = append(hosts, addr)
		return nil, errors.New("nobody is asked in this test")
	}}
	t.Cleanup(tr.CloseIdleConnections)
	s := open(t, azstore.Options{Endpoint: "http://10.0.0.1:10000/acct", Anonymous: true, Transport: tr})
	asked := 0
	ask := func(t interface{ Fatalf(string, ...any) }, ref string) {
		hosts = nil
		_, statErr := s.Stat(context.Background(), at(ref))
		_, openErr := backendtest.Read(context.Background(), s, at(ref), 0, -1)
		if statErr == nil || openErr == nil {
			t.Fatalf("%q: got no error", ref)
		}
		for _, host := range hosts {
			ours := host == "10.0.0.1:10000"
			for _, end := range []string{".blob.core.windows.net:443", ".blob.core.chinacloudapi.cn:443", ".blob.core.usgovcloudapi.net:443", ".blob.storage.azure.net:443"} {
				ours = ours || strings.HasSuffix(host, end)
			}
			if !ours {
				t.Fatalf("%q: %s was dialed", ref, host)
			}
		}
		asked += len(hosts)
	}
	hostile := []string{"acct", "other", "Other", "evil.com", "evil.com#", "evil.com?", "user@evil.com", "evil.com:80", "169.254.169.254", "localhost", "..", "evil.com%2f", `evil.com\`, "evil.com/",
		"x.blob.core.windows.net", ".blob.core.windows.net", "evil.com#.blob.core.windows.net", "evil.com?.blob.core.windows.net", "x@evil.com:.blob.core.windows.net", "évil", "a_b", ""}
	for _, name := range hostile {
		ask(t, "azblob://"+name+"/cont/key")
		ask(t, "https://"+name+".blob.core.windows.net/cont/key")
		ask(t, "https://"+name+".blob.core.windows.net@evil.com/cont/key")
	}
	if asked == 0 {
		t.Error("nobody was asked at all")
	}
	part := rapid.SampledFrom(append(hostile, "a", ".", "/", "@", "#", "?", ":", "%", ".blob.storage.azure.net"))
	rapid.Check(t, func(t *rapid.T) {
		ask(t, rapid.SampledFrom([]string{"azblob://", "https://"}).Draw(t, "scheme")+strings.Join(rapid.SliceOfN(part, 1, 4).Draw(t, "host"), "")+"/cont/key")
	})
}
