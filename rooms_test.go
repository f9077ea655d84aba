// Package pinfs_test holds the rules of the house as tests: who may import
// whom, how long files and functions are, that every package says what it is.
package pinfs_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pinfs/pinfs/testwarden"
)

const module = "github.com/pinfs/pinfs/"

// rooms says which rooms of pinfs a package may import. "*" is any. A package
// that is not listed fails the test: a new room is a decision.
var rooms = map[string][]string{
	"manifest":             {},
	"manifest/chunks":      {"manifest"},
	"manifest/snapshot":    {"manifest", "manifest/chunks"},
	"backends":             {"manifest"},
	"backends/s3store":     {"backends", "manifest"},
	"backends/filestore":   {"backends", "manifest"},
	"backends/memstore":    {"backends", "manifest"},
	"backends/gcsstore":    {"backends", "manifest"},
	"backends/azstore":     {"backends", "manifest"},
	"backends/httpstore":   {"backends", "manifest"},
	"backends/blobstore":   {"backends", "manifest"},
	"backends/backendtest": {"backends", "manifest"},
	"registry":             {"manifest", "manifest/snapshot"},
	"registry/storetest":   {"registry", "manifest", "testwarden"},
	"registry/publish":     {"registry", "backends", "manifest", "manifest/chunks", "manifest/snapshot"},
	"registry/download":    {"registry", "backends", "manifest", "manifest/chunks", "manifest/snapshot"},
	"registry/expand":      {"registry", "registry/publish", "backends", "manifest", "manifest/snapshot"},
	"cache":                {"manifest", "manifest/chunks"},
	"fusefs":               {"manifest", "manifest/snapshot"},
	"fusefs/lister":        {},
	"daemon":               {"fusefs", "fusefs/lister", "cache", "registry", "registry/expand", "backends", "manifest", "manifest/snapshot"},
	"daemon/fdstore":       {"manifest"},
	"daemon/owner":         {"daemon/fdstore", "manifest"},
	"testwarden":           {},
	"cmd/pinfs":            {"*"},
	"integration":          {"*"},
	"integration/servers":  {"*"},
	// gates and programs of test servers
	"integration/servers/gcsgate": {},
	"integration/servers/azgate":  {},
	"integration/servers/share":   {},
	"bench":                       {"*"},
}

// outside says which rooms alone may import a library.
var outside = map[string][]string{
	"github.com/aws/":               {"backends/s3store", "integration", "integration/servers", "bench"},
	"cloud.google.com/":             {"backends/gcsstore", "integration", "integration/servers"},
	"google.golang.org/api":         {"backends/gcsstore", "integration", "integration/servers"},
	"github.com/Azure/":             {"backends/azstore", "integration", "integration/servers"},
	"github.com/jdx/go-netrc":       {"backends/httpstore"},
	"github.com/minio/md5-simd":     {"backends/filestore"},
	"github.com/minio/crc64nvme":    {"manifest"},
	"github.com/zeebo/blake3":       {"manifest/chunks"},
	"github.com/dgraph-io/":         {"cache"},
	"github.com/hanwen/go-fuse/":    {"fusefs", "integration/servers", "integration/servers/share"},
	"github.com/urfave/cli/":        {"cmd/pinfs"},
	"github.com/vbauerster/mpb/":    {"cmd/pinfs"},
	"github.com/dustin/go-humanize": {"cmd/pinfs"},
	"github.com/KimMachineGun/":     {"cmd/pinfs"},
	"github.com/coreos/go-systemd/": {"daemon/fdstore"},
}

type listed struct {
	ImportPath   string
	Imports      []string
	TestImports  []string
	XTestImports []string
}

// packages lists the module's packages with what they import.
func packages(t *testing.T) []listed {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	out, err := testwarden.Command(ctx, "go", "list", "-json=ImportPath,Imports,TestImports,XTestImports", "./...").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	var all []listed
	for dec := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p listed
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			return all
		} else if err != nil {
			t.Fatalf("go list: %v", err)
		}
		all = append(all, p)
	}
}

func TestImportRules(t *testing.T) {
	seen := 0
	for _, p := range packages(t) {
		room, ok := strings.CutPrefix(p.ImportPath, module)
		if !ok {
			continue // the module's root: this test
		}
		may, ok := rooms[room]
		if !ok {
			t.Errorf("%s: no rule for this room; add it to the table", room)
		}
		seen++
		for _, imp := range p.Imports {
			checkImport(t, room, may, imp)
		}
		for _, imp := range slices.Concat(p.TestImports, p.XTestImports) {
			if inner, ok := strings.CutPrefix(imp, module); ok && !allowed(room, inner, append(may, testOnly...)) {
				t.Errorf("tests of %s import %s", room, inner)
			}
		}
	}
	if seen < 10 {
		t.Fatalf("looked at %d packages: the test sees too little", seen)
	}
}

// testOnly are rooms that any room's tests may use.
var testOnly = []string{"backends/memstore", "backends/filestore", "backends/backendtest", "registry/storetest", "registry/publish", "backends", "registry", "manifest/snapshot", "testwarden"}

func allowed(room, inner string, may []string) bool {
	return inner == room || slices.Contains(may, "*") || slices.Contains(may, inner)
}

func checkImport(t *testing.T, room string, may []string, imp string) {
	t.Helper()
	if inner, ok := strings.CutPrefix(imp, module); ok {
		if !allowed(room, inner, may) {
			t.Errorf("%s imports %s; it may import %v", room, inner, may)
		}
		return
	}
	if room == "manifest" && strings.Contains(strings.SplitN(imp, "/", 2)[0], ".") && !slices.Contains(outside[imp], room) {
		t.Errorf("manifest imports %s; it may import the standard library, and what computes a checksum that this lacks", imp)
	}
	for lib, who := range outside {
		if strings.HasPrefix(imp, lib) && !slices.Contains(who, room) {
			t.Errorf("%s imports %s; only %v may", room, imp, who)
		}
	}
}

// TestNobodyImportsTheEnds: nothing imports the command, the benchmarks or the
// integration tests; the benchmarks start the latter's servers.
func TestNobodyImportsTheEnds(t *testing.T) {
	for _, p := range packages(t) {
		room := strings.TrimPrefix(p.ImportPath, module)
		for _, imp := range slices.Concat(p.Imports, p.TestImports, p.XTestImports) {
			inner, _ := strings.CutPrefix(imp, module)
			inside := strings.HasPrefix(room, "integration") || (room == "bench" && inner == "integration/servers")
			if inner == "cmd/pinfs" || inner == "bench" || (strings.HasPrefix(inner, "integration") && !inside) {
				t.Errorf("%s imports %s", room, inner)
			}
		}
	}
}
