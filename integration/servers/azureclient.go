package servers

import (
	"bytes"
	"cmp"
	"context"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/pinfs/pinfs/integration/servers/azgate"
)

// AzureBlob is what the server says of a blob that was written.
type AzureBlob struct {
	ETag    string // without quotes
	Version string // "" on a server without versions
	MD5     string // base64; "" for a blob of blocks
}

// AzurePut says how a blob is written; the zero value is the plain way.
type AzurePut struct {
	ContentType string            // application/octet-stream when ""
	Metadata    map[string]string // names in lower case
}

// CreateContainer makes a container; public ones may be read and listed by all.
func (s *Azure) CreateContainer(t testing.TB, name string, public bool) {
	t.Helper()
	h := http.Header{}
	if public {
		h.Set("X-Ms-Blob-Public-Access", "container")
	}
	s.must(t, http.MethodPut, name+"?restype=container", h, nil)
}

// Put writes a block blob in one request; a second Put of the same name
// overwrites it.
func (s *Azure) Put(t testing.TB, container, blob string, data []byte) AzureBlob {
	t.Helper()
	return s.PutAs(t, container, blob, data, AzurePut{})
}

// PutAs is Put with more to say.
func (s *Azure) PutAs(t testing.TB, container, blob string, data []byte, as AzurePut) AzureBlob {
	t.Helper()
	b, err := s.Write(ctx(t), container, blob, data, as)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// Write is PutAs for other goroutines than a test's.
func (s *Azure) Write(ctx context.Context, container, blob string, data []byte, as AzurePut) (AzureBlob, error) {
	h := http.Header{"X-Ms-Blob-Type": {"BlockBlob"}, "Content-Type": {cmp.Or(as.ContentType, "application/octet-stream")}}
	for name, value := range as.Metadata {
		h["X-Ms-Meta-"+name] = []string{value}
	}
	answer, _, err := s.do(ctx, http.MethodPut, azurePath(container, blob), h, data)
	return azureBlob(answer), err
}

// PutFolder writes what stands for a folder in an account with a hierarchical
// namespace: an empty blob with the metadata hdi_isfolder.
func (s *Azure) PutFolder(t testing.TB, container, folder string) AzureBlob {
	t.Helper()
	return s.PutAs(t, container, folder, nil, AzurePut{Metadata: map[string]string{"hdi_isfolder": "true"}})
}

// PutBlocks writes a blob of blocks, which has no MD5.
func (s *Azure) PutBlocks(t testing.TB, container, blob string, blocks ...[]byte) AzureBlob {
	t.Helper()
	var list strings.Builder
	list.WriteString(`<?xml version="1.0" encoding="utf-8"?><BlockList>`)
	for i, b := range blocks {
		id := base64.StdEncoding.EncodeToString(fmt.Appendf(nil, "%08d", i))
		s.must(t, http.MethodPut, azurePath(container, blob)+"?comp=block&blockid="+url.QueryEscape(id), nil, b)
		list.WriteString("<Latest>" + id + "</Latest>")
	}
	list.WriteString("</BlockList>")
	h, _ := s.must(t, http.MethodPut, azurePath(container, blob)+"?comp=blocklist", nil, []byte(list.String()))
	b := azureBlob(h)
	b.MD5 = "" // the header has the one of the list
	return b
}

// SetMetadata replaces a blob's metadata: another ETag, and another version.
func (s *Azure) SetMetadata(t testing.TB, container, blob string, metadata map[string]string) AzureBlob {
	t.Helper()
	h := http.Header{}
	for name, value := range metadata {
		h["X-Ms-Meta-"+name] = []string{value}
	}
	answer, _ := s.must(t, http.MethodPut, azurePath(container, blob)+"?comp=metadata", h, nil)
	return azureBlob(answer)
}

// Snapshot takes a snapshot of a blob and gives its time, as the URI has it.
func (s *Azure) Snapshot(t testing.TB, container, blob string) string {
	t.Helper()
	h, _ := s.must(t, http.MethodPut, azurePath(container, blob)+"?comp=snapshot", nil, nil)
	return h.Get("X-Ms-Snapshot")
}

// Get reads a blob; query is versionid=…, snapshot=… or "".
func (s *Azure) Get(t testing.TB, container, blob, query string) []byte {
	t.Helper()
	_, body := s.must(t, http.MethodGet, azurePath(container, blob)+"?"+query, nil, nil)
	return body
}

// Delete deletes a blob: its versions stay, its snapshots go.
func (s *Azure) Delete(t testing.TB, container, blob string) {
	t.Helper()
	s.DeleteVersion(t, container, blob, "")
}

// DeleteVersion removes a version that isn't the current one for good.
func (s *Azure) DeleteVersion(t testing.TB, container, blob, version string) {
	t.Helper()
	if err := s.Remove(ctx(t), container, blob, version); err != nil {
		t.Fatal(err)
	}
}

// Remove is Delete, with version "", or DeleteVersion for other goroutines than a
// test's.
func (s *Azure) Remove(ctx context.Context, container, blob, version string) error {
	path, h := azurePath(container, blob), http.Header{}
	if version != "" {
		path += "?versionid=" + url.QueryEscape(version)
	} else {
		h.Set("X-Ms-Delete-Snapshots", "include")
	}
	_, _, err := s.do(ctx, http.MethodDelete, path, h, nil)
	return err
}

func azurePath(container, blob string) string {
	return container + "/" + strings.ReplaceAll(url.PathEscape(blob), "%2F", "/")
}

func azureBlob(h http.Header) AzureBlob {
	return AzureBlob{ETag: strings.Trim(h.Get("ETag"), `"`), Version: h.Get("X-Ms-Version-Id"), MD5: h.Get("Content-Md5")}
}

// must sends a request that has to succeed.
func (s *Azure) must(t testing.TB, method, path string, h http.Header, body []byte) (http.Header, []byte) {
	t.Helper()
	header, answer, err := s.do(ctx(t), method, path, h, body)
	if err != nil {
		t.Fatal(err)
	}
	return header, answer
}

// do sends a signed request; an answer that is no success is an error.
func (s *Azure) do(ctx context.Context, method, path string, h http.Header, body []byte) (http.Header, []byte, error) {
	req, err := http.NewRequestWithContext(ctx, method, s.Endpoint+"/"+strings.TrimSuffix(path, "?"), bytes.NewReader(body))
	if err != nil {
		return nil, nil, err
	}
	for name, values := range h {
		req.Header[name] = values
	}
	if err := (azgate.Credential{Account: s.Account, Key: s.Key}).Sign(req); err != nil {
		return nil, nil, err
	}
	header, answer, err := roundTrip(s.transport, req)
	if err != nil {
		return nil, nil, fmt.Errorf("%s %s: %w", method, path, err)
	}
	return header, answer, nil
}
