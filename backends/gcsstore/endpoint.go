package gcsstore

import (
	"net/url"
	"os"
	"strings"

	"github.com/pinfs/pinfs/backends"
)

const (
	googleURL   = "https://storage.googleapis.com"
	emulatorEnv = "STORAGE_EMULATOR_HOST"
	apiPath     = "/storage/v1/"
)

// baseURL gives the URL of the JSON API, and whether an emulator is asked, which
// knows no credentials. As in Google's own clients an endpoint may be a bare
// host:port, which is http, and may come with the API's path.
func baseURL(endpoint string) (base string, emulator bool, err error) {
	host := os.Getenv(emulatorEnv)
	if endpoint == "" {
		endpoint = host
	}
	if endpoint == "" {
		return googleURL + apiPath, false, nil
	}
	if !strings.Contains(endpoint, "://") {
		endpoint = "http://" + endpoint
	}
	u, err := url.Parse(endpoint)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return "", false, backends.Invalid("open", endpoint, "not the URL of a server", "write http://host:port")
	}
	return u.Scheme + "://" + u.Host + apiPath, host != "", nil
}
