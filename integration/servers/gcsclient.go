package servers

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"mime/multipart"
	"net/http"
	"net/textproto"
	"net/url"
	"strconv"
	"testing"

	"github.com/pinfs/pinfs/integration/servers/gcsgate"
)

// GCSObject is what the server says of an object that was written.
type GCSObject struct {
	Name       string `json:"name"`
	Generation int64  `json:"generation,string"`
	ETag       string `json:"etag"`
	MD5        string `json:"md5Hash"` // base64; "" for a composite object
	CRC32C     string `json:"crc32c"`  // base64, big endian
}

// GCSPut says how an object is written; the zero value is the plain way.
type GCSPut struct {
	ContentType     string // application/octet-stream when ""
	ContentEncoding string // gzip: readers get it unpacked unless they accept gzip
	Composite       bool   // looks as if a compose made it: no MD5
	Metadata        map[string]string
}

// CreateBucket makes a bucket that keeps old generations, or doesn't.
func (s *GCS) CreateBucket(t testing.TB, name string, versioned bool) {
	t.Helper()
	body, err := json.Marshal(map[string]any{"name": name, "versioning": map[string]bool{"enabled": versioned}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.do(ctx(t), http.MethodPost, "/storage/v1/b?project=pinfs-test", "application/json", body); err != nil {
		t.Fatal(err)
	}
}

// Put writes an object; a second Put of the same name overwrites it.
func (s *GCS) Put(t testing.TB, bucket, name string, data []byte) GCSObject {
	t.Helper()
	return s.PutAs(t, bucket, name, data, GCSPut{})
}

// PutAs is Put with more to say.
func (s *GCS) PutAs(t testing.TB, bucket, name string, data []byte, as GCSPut) GCSObject {
	t.Helper()
	o, err := s.Write(ctx(t), bucket, name, data, as)
	if err != nil {
		t.Fatal(err)
	}
	return o
}

// Write is PutAs for other goroutines than a test's.
func (s *GCS) Write(ctx context.Context, bucket, name string, data []byte, as GCSPut) (GCSObject, error) {
	var o GCSObject
	kind, body, err := multipartUpload(name, data, as)
	if err != nil {
		return o, err
	}
	answer, err := s.do(ctx, http.MethodPost, "/upload/storage/v1/b/"+bucket+"/o?uploadType=multipart", kind, body)
	if err == nil {
		err = json.Unmarshal(answer, &o)
	}
	if err != nil {
		return o, fmt.Errorf("put gs://%s/%s: %w", bucket, name, err)
	}
	return o, nil
}

// multipartUpload gives the body of an upload, and its content type.
func multipartUpload(name string, data []byte, as GCSPut) (contentType string, body []byte, err error) {
	kind := cmp.Or(as.ContentType, "application/octet-stream")
	metadata := maps.Clone(as.Metadata)
	if as.Composite {
		if metadata == nil {
			metadata = map[string]string{}
		}
		metadata[gcsgate.CompositeKey] = "1"
	}
	object := map[string]any{"name": name, "contentType": kind, "metadata": metadata}
	if as.ContentEncoding != "" {
		object["contentEncoding"] = as.ContentEncoding
	}
	head, err := json.Marshal(object)
	if err != nil {
		return "", nil, err
	}
	var buf bytes.Buffer
	w := multipart.NewWriter(&buf)
	for _, p := range []struct {
		kind string
		data []byte
	}{{"application/json; charset=UTF-8", head}, {kind, data}} {
		part, err := w.CreatePart(textproto.MIMEHeader{"Content-Type": {p.kind}})
		if err != nil {
			return "", nil, err
		}
		_, _ = part.Write(p.data) // to memory
	}
	if err := w.Close(); err != nil {
		return "", nil, err
	}
	return "multipart/related; boundary=" + w.Boundary(), buf.Bytes(), nil
}

// Get reads an object; generation 0 is the current one.
func (s *GCS) Get(t testing.TB, bucket, name string, generation int64) []byte {
	t.Helper()
	data, err := s.do(ctx(t), http.MethodGet, gcsPath(bucket, name, generation)+"&alt=media", "", nil)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// Delete deletes an object; in a bucket with versions its generations stay.
func (s *GCS) Delete(t testing.TB, bucket, name string) {
	t.Helper()
	s.DeleteGeneration(t, bucket, name, 0)
}

// DeleteGeneration removes one generation for good.
func (s *GCS) DeleteGeneration(t testing.TB, bucket, name string, generation int64) {
	t.Helper()
	if err := s.Remove(ctx(t), bucket, name, generation); err != nil {
		t.Fatal(err)
	}
}

// Remove is Delete, with generation 0, or DeleteGeneration for other goroutines
// than a test's.
func (s *GCS) Remove(ctx context.Context, bucket, name string, generation int64) error {
	_, err := s.do(ctx, http.MethodDelete, gcsPath(bucket, name, generation), "", nil)
	return err
}

func gcsPath(bucket, name string, generation int64) string {
	path := "/storage/v1/b/" + bucket + "/o/" + url.PathEscape(name) + "?"
	if generation != 0 {
		path += "generation=" + strconv.FormatInt(generation, 10)
	}
	return path
}

// do sends a request that has to succeed.
func (s *GCS) do(ctx context.Context, method, path, contentType string, body []byte) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, method, s.Endpoint+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	if contentType != "" {
		req.Header.Set("Content-Type", contentType)
	}
	_, answer, err := roundTrip(s.transport, req)
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w", method, path, err)
	}
	return answer, nil
}
