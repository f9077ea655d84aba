package manifest

import "strings"

// LocalMismatch gives the error of a file reference whose content is no longer
// the recorded one, in W&B's wording: "Local file reference: Digest mismatch for
// path 'P': expected 'D' but found 'E'". ref is the file:// URI, of which P is
// the path; want and got are digests as manifests record them (base64 MD5).
func LocalMismatch(op, ref, want, got string) *Error {
	path := ref
	if Scheme(ref) == "file" {
		path = strings.TrimPrefix(ref[len("file://"):], "localhost")
	}
	return &Error{
		Kind: KindChanged, Op: op, Ref: ref, Expected: want, Found: got,
		Msg: "Local file reference: Digest mismatch for path '" + path + "'",
	}
}
