package azstore

import (
	"cmp"
	"encoding/base64"
	"net"
	"net/url"
	"os"
	"strings"

	"github.com/pinfs/pinfs/backends"
	"github.com/pinfs/pinfs/manifest"
)

const (
	envConnection = "AZURE_STORAGE_CONNECTION_STRING"
	envAccount    = "AZURE_STORAGE_ACCOUNT"
	envKey        = "AZURE_STORAGE_KEY"
	envSAS        = "AZURE_STORAGE_SAS_TOKEN"
	envEndpoint   = "AZURE_STORAGE_SERVICE_ENDPOINT"

	publicSuffix = ".blob.core.windows.net"
)

// access is how one account is reached.
type access struct {
	base   string // URL of its blob service without a trailing slash; "" is the public cloud's
	custom bool   // base is no host of Azure's: the account's references are azblob:// ones
	key    string // base64
	sas    string // without '?'
}

// settings are what Options and the environment say of accounts, by name.
type settings map[string]access

// readSettings reads the environment. No error holds a value of it.
func readSettings(o Options) (settings, error) {
	set := settings{}
	account, err := set.connection(os.Getenv(envConnection))
	if err != nil {
		return nil, err
	}
	endpoint := cmp.Or(o.Endpoint, os.Getenv(envEndpoint))
	name := cmp.Or(o.Account, os.Getenv(envAccount), accountOf(endpoint), account)
	a := set[name]
	a.key, a.sas = cmp.Or(os.Getenv(envKey), a.key), cmp.Or(strings.TrimPrefix(os.Getenv(envSAS), "?"), a.sas)
	switch {
	case name == "" && a.key+a.sas != "":
		return nil, unusable("a key or a SAS token is set, but not the account that it is of", "set "+envAccount)
	case name == "":
		return set, nil
	case !isAccount(name):
		return nil, unusable("'"+name+"' is no name of a storage account", "correct "+envAccount)
	}
	if endpoint != "" {
		if err := a.at(endpoint, name); err != nil {
			return nil, err
		}
	}
	if _, err := base64.StdEncoding.DecodeString(a.key); err != nil {
		return nil, unusable("the account's key is no base64", "correct "+envKey)
	}
	set[name] = a
	return set, nil
}

// connection adds the account of a connection string and gives its name.
func (set settings) connection(text string) (string, error) {
	const hint = "copy it whole from the account's access keys, or unset " + envConnection
	fields := map[string]string{}
	for _, part := range strings.Split(strings.TrimSpace(text), ";") {
		if part == "" {
			continue
		}
		name, value, ok := strings.Cut(part, "=")
		if !ok {
			return "", unusable(envConnection+" is no connection string", hint)
		}
		fields[strings.ToLower(name)] = value
	}
	if len(fields) == 0 {
		return "", nil
	}
	if strings.EqualFold(fields["usedevelopmentstorage"], "true") {
		return "", unusable(envConnection+" names the emulator by its short form", "write it out, or set "+envEndpoint+", "+envAccount+" and "+envKey)
	}
	endpoint := fields["blobendpoint"]
	account := cmp.Or(fields["accountname"], accountOf(endpoint))
	if !isAccount(account) {
		return "", unusable(envConnection+" names no account", hint)
	}
	a := access{key: fields["accountkey"], sas: strings.TrimPrefix(fields["sharedaccesssignature"], "?")}
	if endpoint == "" {
		endpoint = cmp.Or(fields["defaultendpointsprotocol"], "https") + "://" + account + ".blob." + cmp.Or(fields["endpointsuffix"], "core.windows.net")
	}
	if err := a.at(endpoint, account); err != nil {
		return "", err
	}
	if _, err := base64.StdEncoding.DecodeString(a.key); err != nil {
		return "", unusable("the AccountKey in "+envConnection+" is no base64", hint)
	}
	set[account] = a
	return account, nil
}

// at sets where the account name is asked. An emulator has all accounts behind
// one host, in the path.
func (a *access) at(endpoint, name string) error {
	u, err := url.Parse(endpoint)
	switch {
	case err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https":
		return unusable("the endpoint is no URL", "write it as http://127.0.0.1:10000/devstoreaccount1 or https://ACCOUNT.blob.example.com")
	case u.RawQuery != "" || u.User != nil || u.Fragment != "":
		return unusable("the endpoint holds more than a URL", "put a SAS token into "+envSAS)
	}
	a.base = strings.TrimRight(u.Scheme+"://"+u.Host+u.EscapedPath(), "/")
	if inPath(u.Hostname()) && strings.Trim(u.Path, "/") == "" {
		a.base += "/" + name
	}
	a.custom = manifest.SourceOf(a.base+"/") != manifest.SourceAzure || strings.Trim(u.Path, "/") != ""
	return nil
}

// accountOf gives the account that an endpoint names: the last part of the path
// of an emulator's, else the first label of the host. "" when it names none.
func accountOf(endpoint string) string {
	u, err := url.Parse(endpoint)
	if err != nil || u.Host == "" {
		return ""
	}
	if path := strings.Trim(u.Path, "/"); inPath(u.Hostname()) {
		return path[strings.LastIndex(path, "/")+1:]
	}
	label, _, _ := strings.Cut(u.Hostname(), ".")
	return label
}

// inPath tells whether a host has its accounts in the path, as emulators do.
func inPath(host string) bool {
	return host == "localhost" || !strings.Contains(host, ".") || net.ParseIP(host) != nil
}

// isAccount tells whether an account could have this name. Azure's are of 3 to 24
// lower-case letters and digits; emulators take more.
func isAccount(name string) bool {
	for _, c := range []byte(name) {
		if !('a' <= c && c <= 'z' || '0' <= c && c <= '9' || c == '-' || c == '_') {
			return false
		}
	}
	return name != ""
}

func unusable(msg, hint string) error {
	return backends.Invalid("read Azure settings", "", msg, hint)
}
