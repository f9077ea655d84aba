package s3store

import (
	"context"
	"io"
	"net/http"
	"strconv"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
)

// maxSkew is how far this host's clock may be off before only the SDK, which knows
// how to correct that, signs.
const maxSkew = 4 * time.Minute

// getObject is the client's GetObject with sums asked for or not, along a shorter
// way: the request is made from the template of its bucket, which the first one
// teaches. Whatever is answered but a success goes through the SDK as if it had
// asked, so that its errors and what it learns from them are the same.
func (s *Store) getObject(sums bool) operation[s3.GetObjectInput, s3.GetObjectOutput] {
	return func(ctx context.Context, in *s3.GetObjectInput, more ...func(*s3.Options)) (*s3.GetObjectOutput, error) {
		if sums {
			more = append(more[:len(more):len(more)], withSums)
		}
		at := bucketAt{*in.Bucket, s.regions.of(*in.Bucket)}
		t, known := s.templates.get(at)
		if !known {
			return s.teach(ctx, at, in, more)
		}
		if t == nil || s.skewed.Load() || !plainKey(*in.Key) {
			return s.client.GetObject(ctx, in, more...)
		}
		keys, err := s.keysFor(ctx, t)
		if err != nil {
			return s.client.GetObject(ctx, in, more...) // which says why
		}
		resp, err := s.ask(ctx, t, in, sums, keys)
		if err == nil && (resp.StatusCode == http.StatusOK || resp.StatusCode == http.StatusPartialContent) {
			t.good.Store(true)
			return output(resp), nil
		}
		if err == nil && s.misunderstood(at, t, resp) {
			return s.client.GetObject(ctx, in, more...)
		}
		return s.client.GetObject(ctx, in, append(more[:len(more):len(more)], func(o *s3.Options) { o.HTTPClient = answered{resp, err} })...)
	}
}

// keysFor gives the credentials for a request from t, if it needs any.
func (s *Store) keysFor(ctx context.Context, t *template) (aws.Credentials, error) {
	if !t.signed {
		return aws.Credentials{}, nil
	}
	return s.keys.Retrieve(ctx)
}

// ask sends a request for in that is made from t.
func (s *Store) ask(ctx context.Context, t *template, in *s3.GetObjectInput, sums bool, keys aws.Credentials) (*http.Response, error) {
	if t.direct {
		if text, ok := t.text(&s.texts, in, sums, keys, time.Now()); ok {
			resp, err := s.wires.do(ctx, authority{t.scheme, t.host}, func(w io.Writer) error {
				_, err := w.Write(text)
				return err
			})
			if !sentOn(resp) {
				return resp, err
			}
		}
	}
	// A redirect, or what net/http sends in another form, or refuses to.
	r, err := s.sign(ctx, t, in, sums, keys)
	if err != nil {
		return nil, err
	}
	return s.http.Do(r)
}

// do sends r, which the SDK made, and follows where it is sent on to.
func (s *Store) do(r *http.Request) (*http.Response, error) {
	if err := s.hosts.check(r); err != nil {
		return nil, err
	}
	if s.wires.takes(r) {
		resp, err := s.wires.do(r.Context(), authority{r.URL.Scheme, r.URL.Host}, r.Write)
		if !sentOn(resp) {
			return resp, err
		}
	}
	return s.http.Do(r)
}

// sentOn tells whether an answer is a redirect that is followed, which net/http knows
// how to. It is closed then.
func sentOn(resp *http.Response) bool {
	if resp == nil || resp.StatusCode != http.StatusTemporaryRedirect && resp.StatusCode != http.StatusPermanentRedirect {
		return false
	}
	_ = resp.Body.Close()
	return true
}

// answered is an HTTP client that has its answer already.
type answered struct {
	resp *http.Response
	err  error
}

// Do gives the answer.
func (a answered) Do(*http.Request) (*http.Response, error) { return a.resp, a.err }

// teach has the SDK ask, and takes what it sent as the template.
func (s *Store) teach(ctx context.Context, at bucketAt, in *s3.GetObjectInput, more []func(*s3.Options)) (*s3.GetObjectOutput, error) {
	l := &listener{store: s}
	out, err := s.client.GetObject(ctx, in, append(more[:len(more):len(more)], func(o *s3.Options) { o.HTTPClient = l })...)
	if err == nil && l.sent != nil {
		s.templates.put(at, s.learnt(l.sent, *in.Key))
	}
	return out, err
}

// learnt is the template of a GET of key, nil if there is none.
func (s *Store) learnt(r *http.Request, key string) *template {
	t := newTemplate(r, key)
	if t != nil {
		t.direct = t.direct && s.wires.takes(r)
	}
	return t
}

// listener is an HTTP client that remembers what it was given. One request.
type listener struct {
	store *Store
	sent  *http.Request
}

// Do sends r.
func (l *listener) Do(r *http.Request) (*http.Response, error) {
	l.sent = r
	resp, err := l.store.do(r)
	if err == nil {
		l.store.noteClock(resp)
	}
	return resp, err
}

// sign makes and signs a request for in.
func (s *Store) sign(ctx context.Context, t *template, in *s3.GetObjectInput, sums bool, keys aws.Credentials) (*http.Request, error) {
	r := t.request(*in.Key, aws.ToString(in.VersionId)).WithContext(ctx)
	if in.IfMatch != nil {
		r.Header["If-Match"] = []string{*in.IfMatch}
	}
	if in.Range != nil {
		r.Header["Range"] = []string{*in.Range}
	}
	if sums {
		r.Header["X-Amz-Checksum-Mode"] = []string{"ENABLED"}
	}
	if !t.signed {
		return r, nil
	}
	return r, s.signer.SignHTTP(ctx, keys, r, r.Header.Get("X-Amz-Content-Sha256"), t.service, t.region, time.Now())
}

func newSigner() *v4.Signer {
	return v4.NewSigner(func(o *v4.SignerOptions) { o.DisableURIPathEscaping = true })
}

// misunderstood tells whether the SDK should ask once more: the first request from
// a template was refused in a way that may be the template's fault. It is not used
// again.
func (s *Store) misunderstood(at bucketAt, t *template, resp *http.Response) bool {
	s.noteClock(resp)
	if t.good.Load() || resp.StatusCode != http.StatusBadRequest && resp.StatusCode != http.StatusForbidden {
		return false
	}
	_ = resp.Body.Close()
	s.templates.put(at, nil)
	return true
}

// noteClock leaves signing to the SDK when the server's clock shows another time.
func (s *Store) noteClock(resp *http.Response) {
	there, err := http.ParseTime(resp.Header.Get("Date"))
	if err == nil && time.Since(there).Abs() > maxSkew {
		s.skewed.Store(true)
	}
}

// output is what this package reads of a response, as the SDK gives it.
func output(resp *http.Response) *s3.GetObjectOutput {
	out := &s3.GetObjectOutput{Body: resp.Body,
		ETag: header(resp, "Etag"), VersionId: header(resp, "X-Amz-Version-Id"), ContentRange: header(resp, "Content-Range"),
		SSECustomerAlgorithm: header(resp, "X-Amz-Server-Side-Encryption-Customer-Algorithm"),
		ChecksumCRC64NVME:    header(resp, "X-Amz-Checksum-Crc64nvme"), ChecksumCRC32C: header(resp, "X-Amz-Checksum-Crc32c"),
		ChecksumCRC32:  header(resp, "X-Amz-Checksum-Crc32"),
		ChecksumSHA256: header(resp, "X-Amz-Checksum-Sha256")}
	out.ServerSideEncryption = types.ServerSideEncryption(resp.Header.Get("X-Amz-Server-Side-Encryption"))
	out.ChecksumType = types.ChecksumType(resp.Header.Get("X-Amz-Checksum-Type"))
	if n, err := strconv.ParseInt(resp.Header.Get("Content-Length"), 10, 64); err == nil {
		out.ContentLength = &n
	}
	if mod, err := http.ParseTime(resp.Header.Get("Last-Modified")); err == nil {
		out.LastModified = &mod
	}
	return out
}

func header(resp *http.Response, name string) *string {
	if v := resp.Header[name]; len(v) > 0 {
		return &v[0]
	}
	return nil
}
