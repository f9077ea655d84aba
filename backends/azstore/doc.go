// Package azstore is the driver of Azure Blob Storage: https:// references at
// Azure's hosts, and azblob:// ones. It is the only importer of the Azure SDK.
//
// # References
//
// https://ACCOUNT.blob.core.windows.net/container/blob, and the other hosts that
// manifest.SourceOf takes for Azure's: this is what W&B records. The short form
// azblob://account/container/blob is recorded as that, unless the account has an
// endpoint of its own (an emulator, a private service), where it stays; https
// references of such an account are asked at its endpoint too. The first part of
// the path always is the container: $root and $web are written out.
//
// Names are literal in both forms: '?', '#', '%', '+' and spaces are parts of
// them and nothing is percent-coded, since W&B writes names into references as
// they are and does not decode them. (It cuts them at '?' and '#' when it reads,
// though; pinfs does not.) Who pastes a coded URL is told so when nothing is
// there. Only List takes a trailing "?versionId=ID", which picks one version of
// one blob and is no part of the recorded ref.
//
// A trailing "?snapshot=TIME", where TIME has Azure's form with seven digits behind
// the second, picks a snapshot. It is part of the recorded ref, for no field of
// W&B's could hold it; the ETag pins it as well, so that who takes the ref for the
// blob itself (W&B does) is refused other bytes.
//
// A reference with a SAS token is refused, and the token is not repeated.
//
// Recorded are the ETag without quotes as digest, extra.etag, and extra.versionID
// if the account keeps versions. Info.Sums has the MD5 of the blob's Content-MD5
// property. Azure makes it, or checks it, only for blobs written in one request:
// for a blob that was committed in blocks it is whatever its writer said, mostly
// nothing. Append and page blobs change under it, so theirs is left out.
//
// # Pins
//
// A version id where the account keeps versions, the time of a snapshot where the
// reference has one, else the ETag, asked for with If-Match. The ETag of the
// answer is compared in all cases (W&B does not, for versions), and the size with
// the manifest's before any byte is given. A blob that is no longer at its
// recorded ETag is looked for among its versions, as W&B does, and its snapshots.
//
// # Listing
//
// Below prefix + "/", by pages of 5,000 through backends.Tree: flat, or folder by
// folder, several at once, where the folders are large. With metadata, which tells
// folders (hdi_isfolder, and directories of a hierarchical namespace) from empty
// files, and with versions: only then List Blobs is sure to tell the version ids,
// and no blob is asked for by itself. Blobs with many old versions make pages with
// fewer current ones; from thousands of versions a name on it would be faster to ask
// for each blob, and we take the fewer requests of the common case instead. Where
// versions are refused, as with a hierarchical namespace, which keeps none, the
// listing goes on without; where they are refused by level it goes on flat. A blob
// without an id in a listing with versions is a current one, from before versions
// were kept. Nearly all of the time of a listing is the SDK's, which reads XML.
//
// # Credentials
//
// For the account of AZURE_STORAGE_CONNECTION_STRING its key or SAS token; for
// that of AZURE_STORAGE_ACCOUNT the AZURE_STORAGE_KEY or else the
// AZURE_STORAGE_SAS_TOKEN. For every other account what DefaultAzureCredential
// finds, from its first use on; keys and SAS tokens go to no account but theirs,
// and tokens go nowhere without TLS. A search for a token takes 30 s at most, and
// its failure is everybody's answer for 5 s. Rights needed: the role Storage Blob
// Data Reader; of a SAS token, read and list (sp=rl).
//
// # Requests
//
// The SDK's retries are off: the wrapper of package backends has the one budget.
// The driver itself repeats a request only once, with another token after one was
// refused. Only the pages of a listing, which the wrapper can't repeat by
// themselves, go through backends.Retry. Redirects are not followed.
//
// Locks: Store.mu, signIn.mu and found.mu are leaves; none is held during a request.
package azstore
