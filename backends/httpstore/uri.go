package httpstore

import (
	"net/url"
	"strings"
	"unicode/utf8"

	"github.com/pinfs/pinfs/backends"
	"github.com/pinfs/pinfs/manifest"
)

// parseRef reads a reference. The errors of net/url repeat it, and so are not
// shown.
func parseRef(op, ref string) (*url.URL, error) {
	u, err := url.Parse(ref)
	switch scheme := manifest.Scheme(ref); {
	case scheme != "http" && scheme != "https":
		return nil, backends.Invalid(op, ref, "not a reference to a web server", "write https://host/path")
	case hasUser(ref) || err == nil && u.User != nil:
		return nil, backends.Invalid(op, withoutUser(ref), "user and password in a URL would be recorded with it", "put them into ~/.netrc: machine HOST login USER password PASSWORD")
	case err != nil:
		return nil, backends.Invalid(op, ref, "not a URL", "percent-code what a URL can't hold: a '%' itself as %25")
	case u.Hostname() == "":
		return nil, backends.Invalid(op, ref, "a URL without a host", "write https://host/path")
	}
	return u, nil
}

// hasUser finds a user also in what is no URL.
func hasUser(ref string) bool {
	_, rest, _ := strings.Cut(ref, "://")
	return strings.Contains(authority(rest), "@")
}

func authority(rest string) string {
	if end := strings.IndexAny(rest, "/?#"); end >= 0 {
		return rest[:end]
	}
	return rest
}

// withoutUser is ref as messages may show it.
func withoutUser(ref string) string {
	scheme, rest, _ := strings.Cut(ref, "://")
	host := authority(rest)
	return scheme + "://..." + host[max(0, strings.LastIndex(host, "@")):] + rest[len(host):]
}

// nameOf is the last component of the path, decoded if the result can be one in a
// version; "" when the path has none.
func nameOf(u *url.URL) string {
	coded := u.EscapedPath()
	coded = coded[strings.LastIndex(coded, "/")+1:]
	name, err := url.PathUnescape(coded)
	if err != nil || !utf8.ValidString(name) || strings.Contains(name, "/") || manifest.CheckPath(name) != nil {
		return coded
	}
	return name
}
