"""Records a directory or an S3 prefix by the rules of W&B's SDK, with other
tools than pinfs (boto3, hashlib), and prints manifest v1 with the artifact
digest as one JSON value. Usage: record.py file:///dir | s3://bucket/prefix
"""
import base64
import hashlib
import json
import os
import sys


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


uri = sys.argv[1]
contents = dict((record_prefix if uri.startswith("s3://") else record_directory)(uri))
digest = hashlib.md5(b"wandb-artifact-manifest-v1\n")
for path in sorted(contents, key=lambda p: p.encode()):
    digest.update(f"{path}:{contents[path]['digest']}\n".encode())
json.dump({"digest": digest.hexdigest(), "contents": contents}, sys.stdout)
