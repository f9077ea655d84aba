package integration_test

import (
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/pinfs/pinfs/backends"
	"github.com/pinfs/pinfs/backends/azstore"
	"github.com/pinfs/pinfs/backends/backendtest"
	"github.com/pinfs/pinfs/integration/servers"
	"github.com/pinfs/pinfs/manifest"
)

// TestAzureConformance runs the suite of all backends against Azurite: the driver
// by itself behind the gate that keeps versions, and stacked as the command has it
// without.
func TestAzureConformance(t *testing.T) {
	srv := shared.azure.Get(t)
	containers := new(atomic.Int64)
	run := func(srv *servers.Azure, versioned bool, wrap func(backends.Backend) backends.Backend) {
		t.Run(fmt.Sprintf("versioned=%v", versioned), func(t *testing.T) {
			tags := &azureTags{of: map[string]string{}}
			f := backendtest.Fixture{
				New:           func(t *testing.T) backendtest.Source { return azureSource(t, srv, containers, tags, wrap) },
				Features:      azureFeatures(versioned, tags),
				NotApplicable: azuriteCannot(versioned),
			}
			if !versioned {
				f.NoFaults = "they are for drivers, before they are wrapped"
			}
			backendtest.Run(t, f)
		})
	}
	run(srv, true, func(b backends.Backend) backends.Backend { return b })
	run(srv.WithoutVersions(), false, func(b backends.Backend) backends.Backend { return backends.Wrap(b, backends.Options{}) })
}

func azureFeatures(versioned bool, tags *azureTags) backendtest.Features {
	f := backendtest.Features{Versioned: versioned, Digest: tags.digest, Extra: []string{"etag"}, ModTime: true}
	if versioned {
		f.Extra = []string{"etag", "versionID"}
		f.VersionMark = "?versionId="
	}
	return f
}

// azuriteCannot names what the server can't hold, and what an account without
// versions has none of.
func azuriteCannot(versioned bool) map[string]string {
	cannot := map[string]string{"odd key: backslash": `it makes a/b/c/ of a\b/c\`}
	if !versioned {
		for _, name := range []string{"version deleted", "record a named version", "record a version that never was"} {
			cannot[name] = "the account keeps no versions"
		}
		cannot["put back as it was"] = "every write has an ETag of its own, and the old one is gone with its bytes"
	}
	return cannot
}

// azureTags remembers the ETag of the last write of some bytes: an ETag of Azure
// can't be told from the content.
type azureTags struct {
	mu sync.Mutex
	of map[string]string // guarded by mu
}

func (a *azureTags) put(data []byte, etag string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.of[string(data)] = etag
}

func (a *azureTags) digest(data []byte) string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.of[string(data)]
}

func azureSource(t *testing.T, srv *servers.Azure, containers *atomic.Int64, tags *azureTags, wrap func(backends.Backend) backends.Backend) backendtest.Source {
	t.Helper()
	name := fmt.Sprintf("conformance-%d", containers.Add(1))
	srv.CreateContainer(t, name, false)
	root := "azblob://" + srv.Account + "/" + name + "/root"
	blob := func(ref string) string { return strings.TrimPrefix(ref, "azblob://"+srv.Account+"/"+name+"/") }
	p := servers.StartFaultProxy(t, srv.Endpoint)
	p.Dialect = servers.AzureErrors
	t.Setenv("AZURE_STORAGE_CONNECTION_STRING", srv.ConnectionString())
	b, err := azstore.New(t.Context(), azstore.Options{Endpoint: p.Endpoint, Retry: backendtest.Retry(), PageSize: 1000})
	if err != nil {
		t.Fatal(err)
	}
	return backendtest.Source{
		Backend: wrap(b),
		Root:    root,
		Missing: "azblob://" + srv.Account + "/no-such-container/root",
		Put: func(key string, data []byte) error {
			tags.put(data, srv.Put(t, name, "root/"+key, data).ETag)
			return nil
		},
		Delete: func(key string) error {
			srv.Delete(t, name, "root/"+key)
			return nil
		},
		DeleteVersion: func(obj manifest.Object) error {
			return azureDeleteVersion(t, srv, name, blob(obj.Ref), obj.Pin.Value)
		},
		Faults: p.Suite(), Quiet: p.Quiet,
	}
}

// azureDeleteVersion deletes a version for good. The current one can't be deleted
// by its id, so the blob is deleted before.
func azureDeleteVersion(t *testing.T, srv *servers.Azure, container, blob, version string) error {
	t.Helper()
	b := azureDriver(t, srv)
	defer b.Close()
	ref := "azblob://" + srv.Account + "/" + container + "/" + blob
	err := b.List(t.Context(), ref, func(i backends.Info) error {
		if i.Extra[manifest.ExtraVersion] == version {
			srv.Delete(t, container, blob)
		}
		return nil
	})
	if err == nil {
		srv.DeleteVersion(t, container, blob, version)
	}
	return err
}

// azureDriver reads srv with the account's key.
func azureDriver(t *testing.T, srv *servers.Azure) *azstore.Store {
	t.Helper()
	t.Setenv("AZURE_STORAGE_CONNECTION_STRING", srv.ConnectionString())
	b, err := azstore.New(t.Context(), azstore.Options{Endpoint: srv.Endpoint})
	if err != nil {
		t.Fatal(err)
	}
	return b
}
