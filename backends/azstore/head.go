package azstore

import (
	"context"
	"path"
	"strings"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/blob"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/container"

	"github.com/pinfs/pinfs/backends"
	"github.com/pinfs/pinfs/manifest"
)

// folderMark is the metadata that says a blob stands for a folder: Hadoop's, and
// that of accounts with a hierarchical namespace.
const folderMark = "hdi_isfolder"

// state is what the server says of one blob.
type state struct {
	etag    string // without quotes
	version string // "" when the account keeps no versions
	size    int64
	mod     time.Time
	folder  bool // it says that it stands for one
	sums    []manifest.Sum
}

// marker tells whether the blob of this name is a folder and no file.
func (st state) marker(name string) bool {
	return st.folder || st.size == 0 && name[len(name)-1] == '/'
}

// info is what is recorded of the blob at p.
func (st state) info(p place) backends.Info {
	info := backends.Info{Name: path.Base(p.blob), Ref: p.ref(), Digest: st.etag, Size: st.size, ModTime: st.mod, Sums: st.sums, Extra: map[string]any{}}
	if st.etag != "" {
		info.Extra[manifest.ExtraETag] = st.etag
	} else {
		info.Digest = info.Ref // as W&B does when the source has none
	}
	if st.version != "" && p.snapshot == "" {
		info.Extra[manifest.ExtraVersion] = st.version
	}
	return info
}

// head asks for the blob at p without reading it. Errors are the SDK's.
func (s *Store) head(ctx context.Context, p place) (state, error) {
	out, err := send(ctx, s, p, func(ctx context.Context, c *container.Client) (blob.GetPropertiesResponse, error) {
		return c.NewBlobClient(p.blob).GetProperties(ctx, nil)
	})
	if err != nil {
		return state{}, err
	}
	st := state{etag: etagOf(out.ETag), version: value(out.VersionID), size: manifest.SizeUnknown, mod: value(out.LastModified),
		folder: isFolder(out.Metadata), sums: md5Of(out.BlobType, out.ContentMD5)}
	if out.ContentLength != nil {
		st.size = *out.ContentLength
	}
	return st, nil
}

// md5Of gives the MD5 that a blob's properties hold. Only block blobs are written
// whole: the property of an append or page blob is what it was before its writes.
func md5Of(kind *blob.BlobType, sum []byte) []manifest.Sum {
	if len(sum) != 16 || kind == nil || *kind != blob.BlobTypeBlockBlob {
		return nil
	}
	return []manifest.Sum{{Alg: manifest.SumMD5, Value: sum}}
}

// isFolder: names of metadata come back in any case.
func isFolder(metadata map[string]*string) bool {
	for name, text := range metadata {
		if strings.EqualFold(name, folderMark) && strings.EqualFold(value(text), "true") {
			return true
		}
	}
	return false
}

func etagOf(tag *azcore.ETag) string { return unquote(string(value(tag))) }

// value gives what p points to, the zero value for nil.
func value[T any](p *T) T {
	if p == nil {
		return *new(T)
	}
	return *p
}
