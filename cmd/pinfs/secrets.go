package main

import (
	"os"
	"regexp"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"
)

// exportSecrets puts the flags that may hold secrets into the environment: there
// the daemon in the background finds them, which gets no secret as an argument,
// and so does scrub.
func exportSecrets(c *cli.Context) error {
	headers := httpHeaders(c)
	if len(headers) == 0 {
		return nil
	}
	return os.Setenv(envName(flagHTTPHeader), strings.Join(headers, "\n"))
}

// secretVariables are environment variables whose whole value is a secret.
func secretVariables() []string {
	return []string{
		"AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AZURE_STORAGE_KEY", "AZURE_STORAGE_SAS_TOKEN",
		"AZURE_STORAGE_CONNECTION_STRING", "AZURE_CLIENT_SECRET", "AZURE_CLIENT_CERTIFICATE_PASSWORD",
		"AZURE_PASSWORD", "WANDB_API_KEY",
	}
}

// minSecret is the length below which a value is taken for no secret: to hide "1"
// would make all messages unreadable.
const minSecret = 4

// scrub hides the secrets of this process's environment, and those that URLs,
// headers and keys carry, should a library have put them into its message.
func scrub(text string) string {
	for _, secret := range secrets() {
		text = strings.ReplaceAll(text, secret, "***")
	}
	text = pemBlock().ReplaceAllString(text, "***")
	text = signedQuery().ReplaceAllString(text, "$1=***")
	text = loginHeader().ReplaceAllString(text, "$1 ***")
	return userInfo().ReplaceAllString(text, "://***@")
}

// secrets gives the values to hide, the longer ones first: one may be a part of
// another.
func secrets() []string {
	var all []string
	add := func(values ...string) {
		for _, v := range values {
			if v = strings.TrimSpace(v); len(v) >= minSecret {
				all = append(all, v)
			}
		}
	}
	for _, name := range secretVariables() {
		value := os.Getenv(name)
		add(value, strings.TrimPrefix(value, "?"))
	}
	for part := range strings.SplitSeq(os.Getenv("AZURE_STORAGE_CONNECTION_STRING"), ";") {
		name, value, _ := strings.Cut(part, "=")
		if name == "AccountKey" || name == "SharedAccessSignature" {
			add(value)
		}
	}
	for line := range strings.SplitSeq(os.Getenv(envName(flagHTTPHeader)), "\n") {
		_, value, _ := strings.Cut(line, ":") // of "HOST Name: value", whose host may have a port
		if _, behind, ok := strings.Cut(value, ":"); ok {
			add(behind)
		}
		add(value)
		for _, word := range strings.Fields(value) { // of "Bearer TOKEN"
			if len(word) >= 2*minSecret {
				add(word)
			}
		}
	}
	slices.SortFunc(all, func(a, b string) int { return len(b) - len(a) })
	return all
}

// signedQuery matches the parameters of presigned URLs and connection strings that
// are secrets or lead to some.
func signedQuery() *regexp.Regexp {
	return regexp.MustCompile(`(?i)\b(X-(?:Amz|Goog)-(?:Signature|Security-Token|Credential)|sig|signature|GoogleAccessId|AWSAccessKeyId|` +
		`Key-Pair-Id|Policy|AccountKey|SharedAccessSignature|(?:access_|refresh_|id_)?token|client_secret|api_?key|password)=[^&;\s"']+`)
}

// loginHeader matches the value of an Authorization header.
func loginHeader() *regexp.Regexp {
	return regexp.MustCompile(`(?i)\b(Bearer|Basic|SharedKey|SharedKeyLite) +[A-Za-z0-9+/=._~:-]{8,}`)
}

// pemBlock matches private keys, as in Google's files of credentials.
func pemBlock() *regexp.Regexp {
	return regexp.MustCompile(`(?s)-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(-----END [A-Z ]*PRIVATE KEY-----|$)`)
}

// userInfo matches name and password before the host of a URL.
func userInfo() *regexp.Regexp { return regexp.MustCompile(`://[^/\s@:"']+:[^/\s@"']*@`) }
