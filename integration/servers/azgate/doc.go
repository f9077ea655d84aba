// Package azgate stands in front of Azurite, which knows snapshots but no
// versions, and makes it a storage account that keeps versions. It is for tests
// only; standard library only.
//
// Every write of a blob (Put Blob, Put Block List, Set Blob Metadata) takes a
// snapshot, whose time becomes the x-ms-version-id of that write. Then
//
//   - a read gives the version's id, and x-ms-is-current-version when it is current,
//   - a read with versionid=T gives that version: 404 BlobNotFound when it never was
//     or is gone, 400 InvalidQueryParameterValue when T is no time,
//   - include=versions lists versions, oldest first, the current one marked,
//   - deleting a blob keeps its versions; deleting with versionid removes one for
//     good, 403 OperationNotAllowedOnRootBlob when it is the current one.
//
// Requests that the gate changes it signs again, after it has checked the Shared
// Key of the client; what comes with a SAS, or with nothing, Azurite checks.
//
// Differs from the cloud: which snapshots are versions is kept in memory, so a
// restarted gate knows no versions; a prefix stays listed when all blobs under it
// are deleted; pages of a listing may be shorter than maxresults.
//
// Locks: blob.write is taken before Gate.mu and held over requests to Azurite;
// Gate.mu is never held over one.
package azgate
