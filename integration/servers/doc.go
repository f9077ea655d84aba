// Package servers starts the real servers that integration tests run against,
// a proxy that injects faults in front of them, and a file share that misbehaves.
// It is for tests only.
//
// A server is a child process on a free port of the loopback interface with its
// data in a temporary directory of its own. It is stopped (TERM, then KILL) and
// its data removed when the test, or the test binary, is done; the kernel kills
// it when the test binary is killed. Its program comes from tools.sh; a missing
// one, or one that does not serve within 90 s, fails the test with the end of the
// server's log. No test is skipped.
//
// StartX serves one test, StartXMain a whole test binary from its TestMain, and
// an OnDemand made of StartXMain a whole test binary as soon as a test asks. What
// starts is one of these; all but the S3s have a gate in front that runs in the
// test binary and adds what the server lacks.
//
//	S3 (StartS3: versitygw; StartMinIO: MinIO)
//	    srv.CreateBucket(t, "b", true); etag, version := srv.Put(t, "b", "key", data)
//	    cmd.Env = srv.Env(); or Endpoint, AccessKey, SecretKey, Region for an SDK
//	GCS (StartGCS: fake-gcs-server behind gcsgate)
//	    srv.CreateBucket(t, "bbb", true); o := srv.Put(t, "bbb", "name", data); o.Generation
//	    cmd.Env = srv.Env(), which is STORAGE_EMULATOR_HOST and no metadata server
//	Azure (StartAzure: Azurite behind azgate; srv.WithoutVersions(): Azurite itself)
//	    srv.CreateContainer(t, "ccc", false); b := srv.Put(t, "ccc", "name", data); b.Version, b.ETag
//	    cmd.Env = srv.Env(""); or Endpoint, Account, Key, ConnectionString, SAS for an SDK
//	Nginx (StartNginx)
//	    srv.Put(t, "dir/name", data, time.Time{}); srv.URL(servers.HTTPPlain, "dir/name")
//	Share (StartShare: a mount that misbehaves, see package share)
//	    write into srv.Dir; let the pinfs command read srv.Mount, never the test itself
//	    srv.Set(t, share.Rule{Ops: []share.Op{share.Read}, Path: "a", Hang: true}); srv.Heal(t)
//
// StartFaultProxy(t, srv.Endpoint) stands in front of any of those but the share:
//
//	p.Dialect = servers.GCSErrors
//	p.Inject(p.Dialect.Throttled(time.Second)); p.Inject(servers.Fault{Cut: servers.At(100), Times: 2})
//	p.Suite() // for package backendtest
//	cmd.Env = servers.GCSEnv(p.Endpoint), azure.Env(p.Endpoint), or AWS_ENDPOINT_URL=…
//
// Methods that take a testing.TB fail the test and are for its goroutine; Write and
// Remove give an error and are for all.
//
// Names of buckets and containers have at least three characters in GCS and Azure.
// Tests that share a server share its buckets: each makes its own.
//
// # Where each differs from the cloud
//
// S3. A version's id is a ULID in versitygw and a UUID in MinIO, and the other's
// form is 400 there. versitygw adds a CRC64NVME to what is written without a
// checksum, MinIO adds none; versitygw has no parts in GetObjectAttributes and its
// times have seconds. A key beside keys under it ("conf", "conf/child"): 409 in
// versitygw, the child hidden from listings in MinIO. "a//b" and "x/../y": made
// plain by versitygw, 400 in MinIO.
//
// GCS. No authentication at all: a denial has to be injected. A bucket takes
// longer for each object: it is no server for 100,000 of them. A read with
// Accept-Encoding other than gzip unpacks what was written as gzip and ignores the
// range, as the cloud does. What the gate adds: see package gcsgate.
//
// Azure. Without a credential a private container is 403, in the cloud 404 or
// 409. A range that starts at the size of the blob is 206 with nothing, in the
// cloud 416. Azurite itself answers a read by versionid with the current content
// and 200: a test of pins passes falsely without the gate. Names of metadata
// become lower case. There is no hierarchical namespace: PutFolder writes what
// stands for a folder in a listing of one. See package azgate.
//
// HTTP. nginx makes an ETag of a file's time and size; see Nginx.Put.
package servers
