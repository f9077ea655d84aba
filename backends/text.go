package backends

import (
	"errors"
	"net"
	"net/url"
	"strings"
	"unicode"
)

// maxText bounds what a server may add to a message, in bytes.
const maxText = 300

// OneLine makes text of others fit for a message: one line, printable, short, and
// without what opens doors: the values of parameters that sign a URL, a password
// before the host, an Authorization header.
func OneLine(text string) string {
	text = strings.Join(strings.FieldsFunc(text, func(r rune) bool { return unicode.IsSpace(r) || !unicode.IsPrint(r) }), " ")
	text = withoutSecrets(text)
	if len(text) > maxText {
		text = strings.ToValidUTF8(text[:maxText], "") + "…"
	}
	return text
}

// secretAfter are the words that a secret follows, in lower case.
func secretAfter() []string {
	return []string{"sig=", "signature=", "x-amz-security-token=", "x-amz-credential=", "x-goog-credential=", "accountkey=",
		"access_token=", "authorization: ", "bearer "}
}

const hidden = "…"

// withoutSecrets cuts out what follows secretAfter, up to a byte that ends it.
func withoutSecrets(text string) string {
	for _, word := range secretAfter() {
		for from := 0; ; {
			at := indexFold(text[from:], word)
			if at < 0 {
				break
			}
			start := from + at + len(word)
			end := start + secretEnd(text[start:], word)
			text = text[:start] + hidden + text[end:]
			from = start + len(hidden)
		}
	}
	return withoutPasswords(text)
}

// secretEnd gives where a secret ends; an Authorization header's is all the rest.
func secretEnd(text, word string) int {
	if strings.HasPrefix(word, "authorization") {
		return len(text)
	}
	if end := strings.IndexAny(text, "&;,'\"<> "); end >= 0 {
		return end
	}
	return len(text)
}

// indexFold is strings.Index without regard to the case of ASCII.
func indexFold(text, lower string) int {
	for i := 0; i+len(lower) <= len(text); i++ {
		if strings.EqualFold(text[i:i+len(lower)], lower) {
			return i
		}
	}
	return -1
}

// withoutPasswords hides user:password@ of URLs.
func withoutPasswords(text string) string {
	for from := 0; ; {
		at := strings.Index(text[from:], "://")
		if at < 0 {
			return text
		}
		from += at + len("://")
		host := text[from:]
		if end := strings.IndexAny(host, "/?# \"'"); end >= 0 {
			host = host[:end]
		}
		if end := strings.LastIndexByte(host, '@'); end >= 0 {
			text = text[:from] + hidden + text[from+end:]
		}
	}
}

// terse is an error in fewer words.
type terse struct {
	text string
	err  error
}

func (t *terse) Error() string { return t.text }
func (t *terse) Unwrap() error { return t.err }

// Brief gives err in one line and without the preambles of net/http and of SDKs
// around its errors: those repeat the URL, which may be signed.
func Brief(err error) error {
	var dns *net.DNSError
	var op *net.OpError
	var u *url.Error
	text := err.Error()
	switch {
	case errors.As(err, &dns) && dns.IsNotFound:
		text = "host '" + dns.Name + "' does not resolve"
	case errors.As(err, &op):
		text = op.Error()
	case errors.As(err, &u):
		text = u.Err.Error()
	}
	return &terse{OneLine(text), err}
}
