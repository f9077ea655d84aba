"""Records what a URI holds by the rules of W&B's SDK, with other tools than
pinfs (boto3, urllib, hashlib), and prints manifest v1 with the artifact digest as
one JSON value. Usage:

  record.py file:///dir | s3://bucket/prefix | gs://bucket/prefix |
            azblob://account/container/prefix | NAME=http://host/path ...

gs asks the JSON API at STORAGE_EMULATOR_HOST; azblob the server at
AZURE_STORAGE_CONNECTION_STRING, with a signature (SharedKey) of our own.
"""
import base64
import email.utils
import hashlib
import hmac
import json
import os
import sys
import urllib.parse
import urllib.request
import xml.etree.ElementTree as xml


def record_directory(uri):
    top = uri[len("file://"):]
    for folder, _, names in os.walk(top):
        for name in names:
            full = os.path.join(folder, name)
            with open(full, "rb") as f:
                md5 = base64.b64encode(hashlib.md5(f.read()).digest()).decode()
            path = os.path.relpath(full, top)
            yield path, {"digest": md5, "ref": uri + "/" + path, "size": os.path.getsize(full)}


def record_prefix(uri):
    import boto3

    if not os.environ.get("AWS_PROFILE"):
        os.environ.pop("AWS_PROFILE", None)  # boto3 looks for a profile of no name
    bucket, _, prefix = uri[len("s3://"):].partition("/")
    client = boto3.client("s3", endpoint_url=os.environ["AWS_ENDPOINT_URL"])
    pages = client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
    for page in pages:
        for o in page.get("Contents", []):
            if o["Size"] == 0:
                continue  # the SDK drops empty objects
            head = client.head_object(Bucket=bucket, Key=o["Key"])
            etag = head["ETag"].strip('"')
            extra = {"etag": etag}
            if head.get("VersionId", "null") != "null":
                extra["versionID"] = head["VersionId"]
            path = o["Key"][len(prefix) + 1:]
            yield path, {"digest": etag, "ref": uri + "/" + path, "size": o["Size"], "extra": extra}


def answer(request):
    with urllib.request.urlopen(request, timeout=30) as response:
        return response.headers, response.read()


def record_gcs(uri):
    bucket, _, prefix = uri[len("gs://"):].partition("/")
    token = ""
    while token is not None:
        query = urllib.parse.urlencode({"prefix": prefix, "pageToken": token, "maxResults": 7})
        base = os.environ["STORAGE_EMULATOR_HOST"]
        if "://" not in base:
            base = "http://" + base
        _, body = answer(f"{base}/storage/v1/b/{bucket}/o?{query}")
        page = json.loads(body)
        for o in page.get("items", []):
            path = o["name"][len(prefix) + 1:]
            yield path, {
                "digest": o["etag"], "ref": uri + "/" + path, "size": int(o["size"]),
                "extra": {"versionID": int(o["generation"])},
            }
        token = page.get("nextPageToken") or None


def signed(account, key, url):
    """A GET with the SharedKey of Azure's "Authorize with Shared Key"."""
    parts = urllib.parse.urlsplit(url)
    query = urllib.parse.parse_qsl(parts.query, keep_blank_values=True)
    headers = {"x-ms-date": email.utils.formatdate(usegmt=True), "x-ms-version": "2023-11-03"}
    lines = ["GET"] + [""] * 11
    lines += [f"{name}:{headers[name]}" for name in sorted(headers)]
    resource = f"/{account}{parts.path}" + "".join(f"\n{k}:{v}" for k, v in sorted(query))
    text = "\n".join(lines) + "\n" + resource
    mac = hmac.new(base64.b64decode(key), text.encode(), hashlib.sha256)
    headers["Authorization"] = f"SharedKey {account}:" + base64.b64encode(mac.digest()).decode()
    return urllib.request.Request(url, headers=headers)


def record_azure(uri):
    settings = dict(part.split("=", 1) for part in os.environ["AZURE_STORAGE_CONNECTION_STRING"].split(";") if part)
    account, key, base = settings["AccountName"], settings["AccountKey"], settings["BlobEndpoint"].rstrip("/")
    container, _, prefix = uri[len("azblob://" + account + "/"):].partition("/")
    query = urllib.parse.urlencode({"restype": "container", "comp": "list", "prefix": prefix + "/"})
    _, body = answer(signed(account, key, f"{base}/{container}?{query}"))
    for blob in xml.fromstring(body).iter("Blob"):
        name = blob.findtext("Name")
        headers, content = answer(signed(account, key, f"{base}/{container}/{urllib.parse.quote(name)}"))
        etag = headers["ETag"].strip('"')
        extra = {"etag": etag}
        if headers.get("x-ms-version-id"):
            extra["versionID"] = headers["x-ms-version-id"]
        path = name[len(prefix) + 1:]
        yield path, {"digest": etag, "ref": uri + "/" + path, "size": len(content), "extra": extra}


def record_http(pairs):
    for name, _, url in (pair.partition("=") for pair in pairs):
        headers, content = answer(url)
        entry = {"digest": url, "ref": url, "size": len(content)}
        if headers.get("ETag"):
            entry["digest"] = headers["ETag"].strip('"')
            entry["extra"] = {"etag": headers["ETag"]}
        yield name, entry


RECORDERS = {"s3": record_prefix, "gs": record_gcs, "azblob": record_azure, "file": record_directory}

uri = sys.argv[1]
recorder = RECORDERS.get(uri.partition("://")[0])
contents = dict(recorder(uri) if recorder else record_http(sys.argv[1:]))
digest = hashlib.md5(b"wandb-artifact-manifest-v1\n")
for path in sorted(contents, key=lambda p: p.encode()):
    digest.update(f"{path}:{contents[path]['digest']}\n".encode())
json.dump({"digest": digest.hexdigest(), "contents": contents}, sys.stdout)
