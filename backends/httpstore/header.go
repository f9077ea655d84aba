package httpstore

import (
	"net/http"
	"net/textproto"
	"net/url"
	"strings"

	"github.com/pinfs/pinfs/manifest"
)

// Header is a header that is sent to one host only. Its value is a secret.
type Header struct {
	// Host is a host name, for all its ports, or host:port.
	Host        string
	Name, Value string
}

// ParseHeader reads "HOST Name: value", such as
// "data.example.org Authorization: Bearer x" or "localhost:8080 X-Key: y".
// Headers that would change what a request means are refused. Errors are
// KindInvalid and do not tell the value.
func ParseHeader(text string) (Header, error) {
	host, rest, spaced := strings.Cut(strings.TrimSpace(text), " ")
	name, value, coloned := strings.Cut(strings.TrimSpace(rest), ":")
	value = strings.TrimSpace(value)
	h := Header{Host: strings.ToLower(host), Name: textproto.CanonicalMIMEHeaderKey(name), Value: value}
	u, err := url.Parse("//" + host)
	switch {
	case !spaced || !coloned || name == "":
		return Header{}, badHeader("not a header for a host")
	case err != nil || u.Host != host || u.Hostname() == "":
		return Header{}, badHeader("the host is no host")
	case strings.ContainsFunc(name, notInName) || strings.ContainsFunc(value, notInValue):
		return Header{}, badHeader("a character that no header may have")
	case ours(h.Name):
		return Header{}, badHeader("pinfs itself sets " + h.Name)
	}
	return h, nil
}

func badHeader(msg string) error {
	return &manifest.Error{Kind: manifest.KindInvalid, Op: "read HTTP header", Msg: msg,
		Hint: `write "HOST Name: value", such as "data.example.org Authorization: Bearer TOKEN"`}
}

// notInName: RFC 9110, 5.6.2, token.
func notInName(r rune) bool {
	alnum := 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9'
	return !alnum && !strings.ContainsRune("!#$%&'*+-.^_`|~", r)
}

func notInValue(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }

// ours are headers that say what is asked for, or how a connection is used.
func ours(name string) bool {
	switch name {
	case "Accept-Encoding", "Range", "Host", "Connection", "Content-Length", "Transfer-Encoding", "Upgrade", "Te", "Trailer", "Referer":
		return true
	}
	return strings.HasPrefix(name, "If-")
}

// matches tells whether h is for u's host.
func (h Header) matches(u *url.URL) bool {
	return strings.EqualFold(h.Host, u.Host) || strings.EqualFold(strings.Trim(h.Host, "[]"), u.Hostname())
}

// credentials gives the secret headers of u's host: those of Options, else its
// login in netrc.
func (s *Store) credentials(u *url.URL) http.Header {
	secret := http.Header{}
	for _, h := range s.headers {
		if h.matches(u) {
			secret.Add(h.Name, h.Value)
		}
	}
	if secret.Get("Authorization") == "" {
		if login, ok := s.netrc.login(u.Hostname()); ok {
			secret.Set("Authorization", login)
		}
	}
	return secret
}
