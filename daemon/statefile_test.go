package daemon_test

import (
	"errors"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/pinfs/pinfs/daemon"
	"github.com/pinfs/pinfs/fusefs"
	"github.com/pinfs/pinfs/manifest"
	"github.com/pinfs/pinfs/registry/expand"
)

func someState() (fusefs.MountState, [][]byte, expand.Found, expand.Pinned) {
	denied := &manifest.Error{Kind: manifest.KindDenied, Op: "list", Ref: "s3://b/é", Msg: "no"}
	return fusefs.MountState{Dir: "/mnt/a b\n", Init: []byte{0, 1, 255}, Device: "0:39", Open: fusefs.OpenPassthrough, Epoch: 1<<63 + 2},
		[][]byte{[]byte("{\"slot\":1,\"kind\":\"version\"}\n"), []byte("{\"slot\":2,\"kind\":\"alias\"}\n")},
		expand.Found{Key: "k", Path: "/cache/found/1", References: []expand.Reference{
			{Path: "p", Ref: "s3://b/p", Time: time.Unix(5, 0).UTC(), Dir: true, Objects: 3, LeftOut: 1}, {Path: "q", Ref: "s3://b/é", Err: denied}}},
		expand.Pinned{Ref: "file:///x", Object: manifest.Object{Ref: "file:///x", Pin: manifest.Pin{Kind: manifest.PinMD5, Value: "abc=="}, Digest: "abc==", Size: 7, Checksums: "crc32c:00"}}
}

// TestStateFile: what one process wrote the next one reads, but for a last line that was
// not completed.
func TestStateFile(t *testing.T) {
	st, slots, found, pinned := someState()
	for name, damage := range map[string]func(*os.File){
		"whole": func(*os.File) {},
		"torn":  func(f *os.File) { write(t, f, `{"slot":{"slot":3,"ki`) },
	} {
		k, err := daemon.RoundTrip(st, slots, found, pinned, damage)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if !reflect.DeepEqual(k.Begun, st) || k.Slots != string(slots[0])+string(slots[1]) || !reflect.DeepEqual(k.Pinned, []expand.Pinned{pinned}) {
			t.Errorf("%s: got %+v", name, k)
		}
		refs := k.Found[0].References
		if len(k.Found) != 1 || refs[0] != found.References[0] || manifest.KindOf(refs[1].Err) != manifest.KindDenied || refs[1].Err.Error() != found.References[1].Err.Error() {
			t.Errorf("%s: found %+v", name, k.Found)
		}
	}
}

// TestDamagedState: a line that makes no sense is an error, not another mount.
func TestDamagedState(t *testing.T) {
	st, slots, found, pinned := someState()
	_, err := daemon.RoundTrip(st, slots, found, pinned, func(f *os.File) { write(t, f, "{nonsense}\n") })
	var typed *manifest.Error
	if !errors.As(err, &typed) || typed.Kind != manifest.KindCorrupt || !strings.Contains(err.Error(), "read state") {
		t.Errorf("got %v, want KindCorrupt", err)
	}
}

func write(t *testing.T, f *os.File, text string) {
	t.Helper()
	if _, err := f.WriteString(text); err != nil {
		t.Fatal(err)
	}
}
