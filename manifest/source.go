package manifest

import "strings"

// Source names where the object of a reference lies, and so which driver reads
// it and how it is pinned. Several schemes can be one source (azblob:// and https
// at Azure), and one scheme two (https).
type Source string

// The sources.
const (
	SourceS3    Source = "s3"
	SourceGCS   Source = "gs"
	SourceAzure Source = "azblob"
	SourceHTTP  Source = "http"
	SourceFile  Source = "file"
	SourceMem   Source = "mem"
	// SourceBlob: no reference. The registry itself keeps the content.
	SourceBlob Source = "blob"
	// SourceNone: any other scheme, wandb-artifact:// among them. Such a
	// reference is tracked only.
	SourceNone Source = ""
)

// SourceOf gives the source of a reference.
func SourceOf(ref string) Source {
	if ref == "" {
		return SourceBlob
	}
	switch scheme := Scheme(ref); scheme {
	case "s3", "gs", "azblob", "file", "mem":
		return Source(scheme)
	case "https":
		if isAzure(ref) {
			return SourceAzure
		}
		return SourceHTTP
	case "http":
		return SourceHTTP
	}
	return SourceNone
}

// azureHosts end the host names of Azure Blob: its public cloud, the two
// sovereign ones, and accounts with DNS zones (ACCOUNT.zNN.blob.storage.azure.net).
var azureHosts = [...]string{
	".blob.core.windows.net", ".blob.core.chinacloudapi.cn", ".blob.core.usgovcloudapi.net", ".blob.storage.azure.net",
}

// isAzure tells whether an https URI is one of Azure Blob. W&B takes only the
// first of azureHosts for Azure, and the others for plain HTTP. The URI is not
// parsed, since blob names may hold a bare '%'.
func isAzure(ref string) bool {
	if Scheme(ref) != "https" {
		return false
	}
	_, rest, _ := strings.Cut(ref, "://")
	host, _, _ := strings.Cut(rest, "/")
	host = strings.ToLower(host)
	for _, end := range azureHosts {
		if strings.HasSuffix(host, end) && len(host) > len(end) {
			return true
		}
	}
	return false
}
