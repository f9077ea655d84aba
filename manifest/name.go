package manifest

import (
	"strconv"
	"strings"
)

// Name is what people type for a version: [project/]artifact[:version|alias].
type Name struct {
	// Project is "" when the name has none; see DefaultProject.
	Project  string
	Artifact string
	// Version is "v3", an alias, a manifest digest, or "" for :latest.
	Version string
}

// Latest is the alias that is never stored: the highest version that is not deleted.
const Latest = "latest"

// DefaultProject is the project of names that have none.
const DefaultProject = "default"

// String gives project/artifact:version without the empty parts. ParseName of
// the result is n again.
func (n Name) String() string {
	text := n.Artifact
	if n.Project != "" {
		text = n.Project + "/" + text
	}
	if n.Version != "" {
		text += ":" + n.Version
	}
	return text
}

// Index gives the number of a version that is written as one: 3 for "v3". It is
// false for aliases, digests, "" and for what is not the one way to write a
// number ("v03", "v+3") or exceeds 31 bits.
func (n Name) Index() (int, bool) {
	digits, ok := strings.CutPrefix(n.Version, "v")
	if !ok {
		return 0, false
	}
	i, err := strconv.ParseInt(digits, 10, 32)
	if err != nil || i < 0 || strconv.FormatInt(i, 10) != digits {
		return 0, false
	}
	return int(i), true
}

// ParseName reads [project/]artifact[:version|alias|digest]. It is for names that
// exist already, and those of a W&B server may hold spaces and more, so it is
// wider than CheckArtifact: each part is UTF-8 without '/', ':', control
// characters or space at its ends, not "." or "..", at most 255 bytes. Errors
// are KindInvalid.
func ParseName(s string) (Name, error) {
	if strings.Count(s, "/") > 1 {
		return Name{}, &Error{Kind: KindInvalid, Op: "parse name", Ref: quotePath(s), Msg: "more than one '/'",
			Hint: "write [project/]artifact[:version]"}
	}
	var n Name
	rest := s
	if project, artifact, ok := strings.Cut(s, "/"); ok {
		if err := checkPart(s, "project", project); err != nil {
			return Name{}, err
		}
		n.Project, rest = project, artifact
	}
	artifact, version, versioned := strings.Cut(rest, ":")
	if err := checkPart(s, "artifact name", artifact); err != nil {
		return Name{}, err
	}
	if versioned {
		if err := checkPart(s, "version", version); err != nil {
			return Name{}, err
		}
	}
	n.Artifact, n.Version = artifact, version
	return n, nil
}

// ParseNamePath reads a name with a path inside the version behind it:
// [project/]artifact[:version][/path], as `ls` and `show` take it. Since
// "a/b" could be an artifact of a project or a path in an artifact, the colon
// decides: the first of the leading two components that has one ends the name,
// and all behind is the path ("a:v0/b", "p/a:v0/b/c:d"). Without a colon the
// whole is [project/]artifact, and path is "". One '/' at the end of the path is
// dropped. Errors are KindInvalid.
func ParseNamePath(s string) (Name, string, error) {
	end := nameEnd(s)
	n, err := ParseName(s[:end])
	if err != nil {
		return Name{}, "", err
	}
	path := strings.TrimSuffix(strings.TrimPrefix(s[end:], "/"), "/")
	if path == "" {
		if strings.HasPrefix(s[end:], "//") {
			return Name{}, "", &Error{Kind: KindInvalid, Op: "parse name", Ref: quotePath(s), Msg: "empty path component"}
		}
		return n, "", nil
	}
	if err := CheckPath(path); err != nil {
		return Name{}, "", err
	}
	return n, path, nil
}

// nameEnd gives where the path of s begins, with its '/': behind the first of the
// leading two components that has a colon, else at the end of s.
func nameEnd(s string) int {
	start := 0
	for range 2 {
		part, _, more := strings.Cut(s[start:], "/")
		if strings.Contains(part, ":") {
			return start + len(part)
		}
		if !more {
			break
		}
		start += len(part) + 1
	}
	return len(s)
}
