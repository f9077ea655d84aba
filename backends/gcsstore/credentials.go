package gcsstore

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"cloud.google.com/go/auth"
	"cloud.google.com/go/auth/credentials"
	"cloud.google.com/go/compute/metadata"

	"github.com/pinfs/pinfs/backends"
	"github.com/pinfs/pinfs/manifest"
)

const (
	credentialsEnv = "GOOGLE_APPLICATION_CREDENTIALS"
	gcloudEnv      = "CLOUDSDK_CONFIG" // gcloud's own folder
	gcloudFile     = "application_default_credentials.json"

	// metadataTimeout bounds the look for a metadata server where there is none.
	metadataTimeout = 3 * time.Second
	tokenPath       = "instance/service-accounts/default/token?scopes="
	maxKeyFile      = 1 << 20
)

var errNothing = errors.New("neither a file of credentials nor a metadata server is there")

// find looks for credentials, in Google's order. Only when no file is there is the
// metadata server asked, at the first token.
func (k *keyring) find() (*auth.Credentials, error) {
	if k.file != "" {
		return k.fromFile(k.file)
	}
	if path := os.Getenv(credentialsEnv); path != "" {
		return k.fromFile(path)
	}
	if path := gcloudPath(); path != "" {
		creds, err := k.fromFile(path)
		if !errors.Is(err, os.ErrNotExist) {
			return creds, err
		}
	}
	return auth.NewCredentials(&auth.CredentialsOptions{TokenProvider: machine{}}), nil
}

// gcloudPath is where gcloud keeps application default credentials.
func gcloudPath() string {
	if dir := os.Getenv(gcloudEnv); dir != "" {
		return filepath.Join(dir, gcloudFile)
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return ""
	}
	return filepath.Join(home, ".config", "gcloud", gcloudFile)
}

// badFile is a file of credentials that can't be used.
type badFile struct {
	path string
	err  error
}

func (b *badFile) Error() string { return "credentials in " + b.path + ": " + b.err.Error() }
func (b *badFile) Unwrap() error { return b.err }

// fromFile reads credentials of any kind that Google makes.
func (k *keyring) fromFile(path string) (*auth.Credentials, error) {
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return nil, &badFile{path, errors.Unwrap(err)} // the text without the path
	case !info.Mode().IsRegular() || info.Size() > maxKeyFile:
		return nil, &badFile{path, errors.New("no file of credentials")}
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, &badFile{path, errors.Unwrap(err)}
	}
	var file struct {
		Type credentials.CredType `json:"type"`
	}
	if err := json.Unmarshal(text, &file); err != nil {
		return nil, &badFile{path, errors.New("no JSON")} // the decoder might quote a secret
	}
	creds, err := credentials.NewCredentialsFromJSON(file.Type, text, &credentials.DetectOptions{
		Scopes: []string{scope}, Client: k.http, DisableAsyncRefresh: true,
	})
	if err != nil {
		return nil, &badFile{path, errors.New("not of a known type")}
	}
	return creds, nil
}

// machine gives the tokens of the machine's service account.
type machine struct{}

// Token asks the metadata server. Elsewhere than at Google nobody answers, or
// somebody else does.
func (machine) Token(ctx context.Context) (*auth.Token, error) {
	ctx, cancel := context.WithTimeout(ctx, metadataTimeout)
	defer cancel()
	t := &http.Transport{DialContext: (&net.Dialer{Timeout: metadataTimeout}).DialContext, DisableKeepAlives: true}
	text, err := metadata.NewClient(&http.Client{Transport: t, CheckRedirect: stay}).GetWithContext(ctx, tokenPath+url.QueryEscape(scope))
	var failed *metadata.Error
	switch {
	case errors.As(err, &failed) && failed.Code >= http.StatusInternalServerError:
		return nil, &metadata.Error{Code: failed.Code, Message: "the metadata server fails"}
	case err != nil:
		return nil, errNothing
	}
	var answer struct {
		Token   string `json:"access_token"`
		Type    string `json:"token_type"`
		Expires int64  `json:"expires_in"` // seconds
	}
	if err := json.Unmarshal([]byte(text), &answer); err != nil || answer.Token == "" {
		return nil, errNothing
	}
	return &auth.Token{Value: answer.Token, Type: answer.Type, Expiry: time.Now().Add(time.Duration(answer.Expires) * time.Second)}, nil
}

// noKeys is the error of a request that could not be signed.
type noKeys struct {
	kind manifest.Kind
	msg  string
	hint string
	err  error
}

func (n *noKeys) Error() string { return n.msg + ": " + n.err.Error() }
func (n *noKeys) Unwrap() error { return n.err }

// sortKeyError tells whether the lack of a token is for good; had says that there
// was one before, so that whoever gives them may be down.
func sortKeyError(err error, had bool) *noKeys {
	var refused *auth.Error
	var bad *badFile
	var silent net.Error
	var failed *metadata.Error
	const noToken = "no token for the credentials"
	switch {
	case errors.As(err, &refused) && !mayPass(statusOf(refused)):
		return &noKeys{manifest.KindDenied, "the credentials are refused", hintRenew, why(refused)}
	case errors.As(err, &refused):
		return &noKeys{manifest.KindUnreachable, noToken, "", why(refused)}
	case errors.As(err, &bad):
		return &noKeys{manifest.KindDenied, "no credentials", hintKeys, backends.Brief(bad)}
	case errors.Is(err, errNothing) && !had:
		return &noKeys{manifest.KindDenied, "no credentials", hintKeys, err}
	case had, errors.As(err, &failed), errors.As(err, &silent), errors.Is(err, context.DeadlineExceeded):
		return &noKeys{manifest.KindUnreachable, noToken, "", backends.Brief(err)}
	}
	return &noKeys{manifest.KindDenied, noToken, hintKeys, backends.Brief(err)}
}

// mayPass tells whether a status is worth another try.
func mayPass(status int) bool {
	return status == http.StatusTooManyRequests || status == http.StatusRequestTimeout || status >= http.StatusInternalServerError
}

func statusOf(e *auth.Error) int {
	if e.Response == nil {
		return 0
	}
	return e.Response.StatusCode
}

// why no token was given (RFC 6749, 5.2), and no more of the answer: it may hold
// what was sent.
func why(e *auth.Error) reply {
	var answer struct {
		Code string `json:"error"`
		Text string `json:"error_description"`
	}
	_ = json.Unmarshal(e.Body, &answer) // others give the status only
	return reply{status: statusOf(e), reason: answer.Code, text: answer.Text}
}
