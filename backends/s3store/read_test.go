package s3store_test

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/pinfs/pinfs/backends"
	"github.com/pinfs/pinfs/backends/backendtest"
	"github.com/pinfs/pinfs/backends/s3store"
	"github.com/pinfs/pinfs/manifest"
)

// TestWrongAnswers: no byte of an answer that can't be the object is given.
func TestWrongAnswers(t *testing.T) {
	for name, c := range map[string]struct {
		header map[string]string
		status int
		kind   manifest.Kind
	}{
		"other ETag":         {map[string]string{"ETag": `"other"`, "Content-Range": "bytes 2-4/10"}, 206, manifest.KindChanged},
		"other size":         {map[string]string{"ETag": `"e"`, "Content-Range": "bytes 2-4/11"}, 206, manifest.KindCorrupt},
		"other offset":       {map[string]string{"ETag": `"e"`, "Content-Range": "bytes 0-2/10"}, 206, manifest.KindCorrupt},
		"shorter":            {map[string]string{"ETag": `"e"`, "Content-Range": "bytes 2-3/10", "Content-Length": "2"}, 206, manifest.KindCorrupt},
		"longer":             {map[string]string{"ETag": `"e"`, "Content-Range": "bytes 2-6/10", "Content-Length": "5"}, 206, manifest.KindCorrupt},
		"range ignored":      {map[string]string{"ETag": `"e"`, "Content-Length": "10"}, 200, manifest.KindCorrupt},
		"no ETag":            {map[string]string{"Content-Range": "bytes 2-4/10"}, 206, manifest.KindChanged},
		"junk Content-Range": {map[string]string{"ETag": `"e"`, "Content-Range": "lines 2"}, 206, manifest.KindCorrupt},
	} {
		t.Run(name, func(t *testing.T) {
			s := store(t, backendtest.NewScripted(t, func(w http.ResponseWriter, r *http.Request) {
				if strings.Contains(r.RequestURI, "versions") {
					fmt.Fprint(w, "<ListVersionsResult></ListVersionsResult>")
					return
				}
				w.Header().Set("Content-Length", "3")
				for k, v := range c.header {
					w.Header().Set(k, v)
				}
				w.WriteHeader(c.status)
				_, _ = io.WriteString(w, strings.Repeat("x", 10))
			}))
			for _, obj := range []manifest.Object{byETag("e", 10), byVersion("v", "e", 10)} {
				got, err := backendtest.Read(t.Context(), s, obj, 2, 3)
				wantError(t, err, c.kind)
				if got != "" {
					t.Errorf("%q was given", got)
				}
			}
		})
	}
}

// TestConnections: a stream that was read to its end leaves its connection for
// the next, even when the reader never asks for the end of file.
func TestConnections(t *testing.T) {
	setkeys(t)
	var opened atomic.Int32
	f := httptest.NewUnstartedServer(http.HandlerFunc(ok))
	f.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			opened.Add(1)
		}
	}
	f.Start()
	defer f.Close()
	s := open(t, s3store.Options{Endpoint: f.URL})
	for range 10 {
		body, _, err := s.Open(t.Context(), byETag("e", 3), 0, 3)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(body, make([]byte, 3)); err != nil {
			t.Fatal(err)
		}
		if err := body.Close(); err != nil {
			t.Error(err)
		}
	}
	if n := opened.Load(); n != 1 {
		t.Errorf("%d connections for 10 reads one after the other, want 1", n)
	}
}

// TestStarWithoutSize: a server may not know the total; the manifest does.
func TestStarWithoutSize(t *testing.T) {
	s := store(t, backendtest.NewScripted(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("ETag", `"e"`)
		w.Header().Set("Content-Range", "bytes 2-4/*")
		w.WriteHeader(206)
		_, _ = io.WriteString(w, "abc")
	}))
	if got, err := backendtest.Read(t.Context(), s, byETag("e", 10), 2, 3); got != "abc" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
	_, err := backendtest.Read(t.Context(), s, byETag("e", manifest.SizeUnknown), 2, 3)
	wantError(t, err, manifest.KindCorrupt)
}

// TestCut: a body that breaks off is no end of file; the wrapper goes on there.
func TestCut(t *testing.T) {
	first := true
	s := store(t, backendtest.NewScripted(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("ETag", `"e"`)
		body, status := "abcdef", 200
		if from := r.Header.Get("Range"); from != "" {
			if from != "bytes=3-" && from != "bytes=3-5" {
				t.Errorf("range %q", from)
			}
			w.Header().Set("Content-Range", "bytes 3-5/6")
			body, status = "def", 206
		}
		w.Header().Set("Content-Length", fmt.Sprint(len(body)))
		w.WriteHeader(status)
		if first {
			first = false
			_, _ = io.WriteString(w, body[:3])
			_ = http.NewResponseController(w).Flush()
			panic(http.ErrAbortHandler)
		}
		_, _ = io.WriteString(w, body)
	}))
	got, err := backendtest.Read(t.Context(), s, byETag("e", 6), 0, -1)
	wantError(t, err, manifest.KindUnreachable, "broke off 3 bytes before its end")
	if got != "abc" {
		t.Errorf("got %q", got)
	}
	first = true
	if got, err := backendtest.Read(t.Context(), backends.WithRetry(s, backendtest.FastRetry()), byETag("e", 6), 0, -1); got != "abcdef" || err != nil {
		t.Errorf("resumed: %q, %v", got, err)
	}
}

// TestSums: which checksums count as ones of the content.
func TestSums(t *testing.T) {
	const md5 = "900150983cd24fb0d6963f7d28e17f72"
	for name, c := range map[string]struct {
		header map[string]string
		want   []manifest.SumAlg
	}{
		"plain":          {map[string]string{"ETag": `"` + md5 + `"`}, []manifest.SumAlg{"md5"}},
		"S3's own key":   {map[string]string{"ETag": `"` + md5 + `"`, "X-Amz-Server-Side-Encryption": "AES256"}, []manifest.SumAlg{"md5"}},
		"KMS":            {map[string]string{"ETag": `"` + md5 + `"`, "X-Amz-Server-Side-Encryption": "aws:kms"}, nil},
		"KMS twice":      {map[string]string{"ETag": `"` + md5 + `"`, "X-Amz-Server-Side-Encryption": "aws:kms:dsse"}, nil},
		"customer's key": {map[string]string{"ETag": `"` + md5 + `"`, "X-Amz-Server-Side-Encryption-Customer-Algorithm": "AES256"}, nil},
		"parts":          {map[string]string{"ETag": `"` + md5 + `-2"`}, nil},
		"full CRC": {map[string]string{"ETag": `"` + md5 + `-2"`, "X-Amz-Checksum-Crc64nvme": "AAAAAAAAAAE=", "X-Amz-Checksum-Crc32c": "AAAAAQ==",
			"X-Amz-Checksum-Type": "FULL_OBJECT"}, []manifest.SumAlg{"crc64nvme", "crc32c"}},
		"what SDKs send": {map[string]string{"ETag": `"` + md5 + `"`, "X-Amz-Checksum-Crc32": "AAAAAQ==", "X-Amz-Checksum-Type": "FULL_OBJECT"},
			[]manifest.SumAlg{"crc32", "md5"}},
		"CRC32 of parts":            {map[string]string{"ETag": `"` + md5 + `-2"`, "X-Amz-Checksum-Crc32": "AAAAAQ==", "X-Amz-Checksum-Type": "COMPOSITE"}, nil},
		"CRC32 of parts, not typed": {map[string]string{"ETag": `"` + md5 + `-2"`, "X-Amz-Checksum-Crc32": "AAAAAQ==-2"}, nil},
		"composite CRC":             {map[string]string{"ETag": `"` + md5 + `-2"`, "X-Amz-Checksum-Crc32c": "AAAAAQ==", "X-Amz-Checksum-Type": "COMPOSITE"}, nil},
		"composite CRC, not typed":  {map[string]string{"ETag": `"` + md5 + `-2"`, "X-Amz-Checksum-Crc32c": "AAAAAQ==-2"}, nil},
		"junk":                      {map[string]string{"ETag": `"zzzz50983cd24fb0d6963f7d28e17f72"`, "X-Amz-Checksum-Sha256": "AAAA"}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			f := backendtest.NewScripted(t, func(w http.ResponseWriter, r *http.Request) {
				for k, v := range c.header {
					w.Header().Set(k, v)
				}
				ok2(w, r)
			})
			s := store(t, f)
			obj := byVersion("v", strings.Trim(c.header["ETag"], `"`), 3)
			head, err := s.Stat(t.Context(), obj)
			if err != nil {
				t.Fatal(err)
			}
			body, get, err := s.Open(t.Context(), obj, 0, 3)
			if err != nil {
				t.Fatal(err)
			}
			// The SDK would fail here if it checked the (made up) checksums itself.
			if _, err := io.Copy(io.Discard, body); err != nil {
				t.Error(err)
			}
			body.Close()
			if r := f.Last(t); r.Header.Get("X-Amz-Checksum-Mode") != "ENABLED" || r.Header.Get("Range") != "" || r.Header.Get("Accept-Encoding") != "identity" {
				t.Errorf("whole object: headers %v", r.Header)
			}
			for call, info := range map[string]backends.Info{"Stat": head, "Open": get} {
				var got []manifest.SumAlg
				for _, sum := range info.Sums {
					got = append(got, sum.Alg)
				}
				if !slices.Equal(got, c.want) {
					t.Errorf("%s: sums %v, want %v", call, got, c.want)
				}
			}
		})
	}
}

// ok2 is ok without an ETag of its own.
func ok2(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Length", "3")
	if r.Method == http.MethodGet {
		_, _ = io.WriteString(w, "abc")
	}
}

// TestDirectoryBucket: the ETags of S3 Express look like MD5s and are none.
func TestDirectoryBucket(t *testing.T) {
	t.Setenv("AWS_S3_DISABLE_EXPRESS_SESSION_AUTH", "true")
	const md5 = "900150983cd24fb0d6963f7d28e17f72"
	s := store(t, backendtest.NewScripted(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("ETag", `"`+md5+`"`)
		ok2(w, r)
	}))
	obj := byETag(md5, 3)
	obj.Ref = "s3://logs--use1-az4--x-s3/key"
	info, err := s.Stat(t.Context(), obj)
	if err != nil || len(info.Sums) != 0 {
		t.Errorf("%v, %v", info.Sums, err)
	}
}

// TestDeniedChecksums: a HEAD that may not see checksums (keys of KMS) is made up
// for by a byte.
func TestDeniedChecksums(t *testing.T) {
	f := backendtest.NewScripted(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodHead {
			refuse(w, r, 403, "", "")
			return
		}
		w.Header().Set("ETag", `"e"`)
		w.Header().Set("Content-Range", "bytes 0-0/3")
		w.WriteHeader(206)
		_, _ = io.WriteString(w, "a")
	})
	info, err := store(t, f).Stat(t.Context(), byVersion("v", "e", 3))
	if err != nil || info.Size != 3 || info.Digest != "e" {
		t.Errorf("%+v, %v", info, err)
	}
}

// TestUnpinned: nobody knows which bytes such a reference means.
func TestUnpinned(t *testing.T) {
	f := backendtest.NewScripted(t, ok)
	s := store(t, f)
	obj := manifest.Entry{Ref: "s3://bucket/key", Digest: "s3://bucket/key", Size: 3}.Object()
	_, err := s.Stat(t.Context(), obj)
	wantError(t, err, manifest.KindUnsupported)
	_, err = backendtest.Read(t.Context(), s, obj, 0, -1)
	wantError(t, err, manifest.KindUnsupported)
	_, err = backendtest.Read(t.Context(), s, byETag("e", 3), -1, -1)
	wantError(t, err, manifest.KindInvalid)
	if n := len(f.Lines()); n != 0 {
		t.Errorf("%d requests", n)
	}
}
