package backends

import (
	"cmp"
	"errors"
	"net/netip"
	"net/url"
	"path"
	"slices"
	"strings"

	"github.com/pinfs/pinfs/manifest"
)

// Rules say what versions may point to. Somebody else may have written their
// manifests, so that what a reference names is not what the user of this host meant.
//
// Without a list of prefixes for its source, a reference may name anything but
// places of this host that hold no data (policyfiles.go), and addresses that are
// no servers for data (policyaddr.go). With one, it must be below one of the list.
//
// A nil *Rules has no lists and knows no places; the addresses hold for it too. All
// methods may be called from many goroutines.
type Rules struct {
	lists  map[manifest.Source][]prefix
	places *places
	// literal are the addresses that the user has named as such.
	literal map[netip.AddrPort]bool
}

// RulesOptions are what Rules are made of.
type RulesOptions struct {
	// Allow are prefixes of URIs. The sources that none of them names keep their
	// defaults; of the others only what is below one of them may be read.
	Allow []string
	// Home is the home directory of the user, "" if he has none.
	Home string
	// Private are absolute paths of this process's own files, and of credentials.
	Private []string
}

// NewRules makes rules; KindInvalid for a prefix that can be none.
func NewRules(o RulesOptions) (*Rules, error) {
	r := &Rules{lists: map[manifest.Source][]prefix{}, literal: map[netip.AddrPort]bool{}}
	var roots []string
	for _, text := range o.Allow {
		p, source, err := parsePrefix(text)
		if err != nil {
			return nil, err
		}
		r.lists[source] = append(r.lists[source], p)
		if source == manifest.SourceFile {
			roots = append(roots, p.path)
		}
		if at, ok := literalOf(p.root); ok && source == manifest.SourceHTTP {
			r.literal[at] = true
		}
	}
	r.places = newPlaces(roots, o)
	return r, nil
}

// Own are the rules for what a user names himself, as with put: r's addresses alone.
func (r *Rules) Own() *Rules {
	if r == nil {
		return nil
	}
	return &Rules{literal: r.literal}
}

// Ref tells whether ref may be read: KindDenied if not, with what would allow it. A
// reference that no driver could read is not refused here: its driver says why.
func (r *Rules) Ref(op, ref string) error {
	if r == nil || ref == "" {
		return nil
	}
	source := manifest.SourceOf(ref)
	var err error
	switch source {
	case manifest.SourceFile:
		err = r.file(ref)
	case manifest.SourceHTTP:
		err = r.web(ref)
	case manifest.SourceNone:
	default:
		err = r.listed(source, ref)
	}
	if refused := new(Refusal); errors.As(err, &refused) {
		return refused.At(op, ref)
	}
	return nil
}

// file looks at the path as it is written; where it leads is seen by who opens it.
func (r *Rules) file(ref string) error {
	_, at, _ := strings.Cut(ref, "://")
	if at = strings.TrimPrefix(at, "localhost"); !strings.HasPrefix(at, "/") {
		return nil
	}
	return r.Path(at)
}

// web leaves URLs with a user to the driver, which refuses them without showing him.
func (r *Rules) web(ref string) error {
	_, rest, _ := strings.Cut(ref, "://")
	if end := strings.IndexAny(rest, "/?#"); end >= 0 {
		rest = rest[:end]
	}
	u, err := url.Parse(ref)
	if err != nil || strings.Contains(rest, "@") {
		return nil
	}
	return r.URL(u)
}

// URL tells whether u may be asked for, as it is written: of a reference, or where a
// redirect leads. The error is a *Refusal, which does not show the path.
func (r *Rules) URL(u *url.URL) error {
	if err := r.host(u); err != nil {
		return err
	}
	if r == nil || r.lists[manifest.SourceHTTP] == nil {
		return nil
	}
	root, below := splitURL(u)
	return r.among(manifest.SourceHTTP, root, below, serverOf(u))
}

func (r *Rules) listed(source manifest.Source, ref string) error {
	if r.lists[source] == nil {
		return nil
	}
	root, below, err := split(source, ref)
	if err != nil {
		return nil
	}
	return r.among(source, root, below, root+"/")
}

// among looks for root and the path below it in the list of a source. hint is the
// prefix that would allow it.
func (r *Rules) among(source manifest.Source, root, below, hint string) error {
	for _, p := range r.lists[source] {
		if p.holds(root, below) {
			return nil
		}
	}
	return unless(hint, whyOutside)
}

// prefix is an allowed beginning of URIs.
type prefix struct {
	scheme string
	root   string // scheme, host and port, or bucket; "" is all of the scheme
	path   string // below it, without slashes at its ends; of files absolute
}

func (p prefix) holds(root, below string) bool {
	if p.root == "" {
		return strings.HasPrefix(root, p.scheme+"://")
	}
	if p.root != root {
		return false
	}
	return p.path == "" || !climbs(below) && within(strings.Trim(below, "/"), p.path)
}

// within tells whether path is dir or below it.
func within(at, dir string) bool {
	return at == dir || strings.HasPrefix(at, strings.TrimSuffix(dir, "/")+"/")
}

// climbs tells whether a server may take a path for another one, above it: parts
// such as "..", which some write "..;x", or behind a backslash.
func climbs(below string) bool {
	parts := strings.FieldsFunc(below, func(c rune) bool { return c == '/' || c == '\\' })
	return slices.ContainsFunc(parts, func(part string) bool {
		part, _, _ = strings.Cut(part, ";")
		return part == "." || part == ".."
	})
}

// split gives what prefixes are compared with. Names of objects are literal.
func split(source manifest.Source, ref string) (root, below string, err error) {
	if source == manifest.SourceHTTP {
		u, err := url.Parse(ref)
		if err != nil {
			return "", "", err
		}
		root, below = splitURL(u)
		return root, below, nil
	}
	scheme, rest, _ := strings.Cut(ref, "://")
	bucket, below, _ := strings.Cut(rest, "/")
	scheme = strings.ToLower(scheme)
	if source == manifest.SourceAzure {
		if bucket = strings.ToLower(bucket); scheme == string(source) {
			bucket += ".blob.core.windows.net"
		}
		scheme = "https"
	}
	return scheme + "://" + bucket, below, nil
}

func splitURL(u *url.URL) (root, below string) {
	host := strings.TrimSuffix(strings.ToLower(u.Hostname()), ".")
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	port := cmp.Or(u.Port(), map[string]string{"http": "80", "https": "443"}[u.Scheme])
	return u.Scheme + "://" + host + ":" + port, u.Path
}

// serverOf gives u without its path, as --allow takes it.
func serverOf(u *url.URL) string { return u.Scheme + "://" + u.Host + "/" }

// parsePrefix reads what a user allows.
func parsePrefix(text string) (p prefix, source manifest.Source, err error) {
	const form = "write file:///DIR/, https://HOST/PATH/, s3://BUCKET/PREFIX or, for all of a scheme, s3://"
	bad := func(msg string) error { return Invalid("allow", text, msg, form) }
	p.scheme = manifest.Scheme(text)
	_, rest, _ := strings.Cut(text, "://")
	source = manifest.SourceOf(text)
	switch {
	case source == manifest.SourceNone, source == manifest.SourceBlob, source == manifest.SourceMem:
		return p, source, bad("not a prefix of URIs that can be read")
	case source == manifest.SourceFile:
		p.path = path.Clean("/" + strings.TrimPrefix(rest, "localhost"))
		if rest != "" && !strings.HasPrefix(strings.TrimPrefix(rest, "localhost"), "/") || strings.ContainsRune(rest, 0) {
			return p, source, bad("not an absolute path")
		}
		return p, source, nil
	case rest == "":
		if source == manifest.SourceAzure {
			p.scheme = "https"
		}
		return p, source, nil
	case source == manifest.SourceHTTP && strings.ContainsAny(rest, "?#@"):
		return p, source, Invalid("allow", "--allow", "a prefix has no user, query or fragment", form)
	}
	p.root, p.path, err = split(source, text)
	if p.path = strings.Trim(p.path, "/"); err != nil || strings.HasSuffix(p.root, "://") || strings.Contains(p.root, "://:") || climbs(p.path) {
		return p, source, bad("not a prefix of URIs")
	}
	return p, source, nil
}

// Refusal is why something is not read that a version points to.
type Refusal struct{ why, hint string }

// Refuse makes one for which nobody can allow anything.
func Refuse(why string) *Refusal { return &Refusal{why: why} }

// unless is a refusal, but for those who allow a prefix.
func unless(prefix, why string) *Refusal {
	return &Refusal{why: why, hint: "if it is meant, allow it: --allow " + prefix}
}

// Error says why.
func (r *Refusal) Error() string { return r.why }

// Behind is r with words in front that say how it came about.
func (r *Refusal) Behind(words string) *Refusal { return &Refusal{words + ": " + r.why, r.hint} }

// At is KindDenied of a reference.
func (r *Refusal) At(op, ref string) error {
	return &manifest.Error{Kind: manifest.KindDenied, Op: op, Ref: ref, Msg: r.why, Hint: r.hint}
}
