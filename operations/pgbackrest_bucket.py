"""A bucket that pgBackRest keeps its repository in: what its configuration needs to know."""

from __future__ import annotations

import re
from dataclasses import dataclass

from pyinfra.api import OperationError

from operations.supervisor_text import PATH

NAME = re.compile(r"[a-z0-9]([a-z0-9.-]*[a-z0-9])?")


@dataclass(frozen=True)
class Bucket:
    """
    A bucket of S3, or of a store that speaks like it, over TLS.

    + endpoint: name of the store's host
    + bucket: its name; it has to be there
    + secrets: directory on the host with the files access_key, secret_key and passphrase, of `secrets.store`;
      the program on the host puts their content into the configuration there
    + region: default "us-east-1"
    + port: default 443
    + path_style: whether the bucket is a part of the path, not of the name, default False
    + ca_file: on the host, who vouches for the store, default the system's own list
    """

    endpoint: str
    bucket: str
    secrets: str
    region: str = "us-east-1"
    port: int = 443
    path_style: bool = False
    ca_file: str | None = None


def check_bucket(bucket: Bucket) -> None:
    """Raise OperationError for a value that the configuration cannot carry."""
    checks = [
        ("endpoint", bucket.endpoint, NAME, "s3.eu-central-1.amazonaws.com"),
        ("bucket", bucket.bucket, NAME, "shop-backups"), ("region", bucket.region, NAME, "eu-central-1"),
        ("secrets", bucket.secrets, PATH, "/etc/pgbackrest/secrets"),
        ("ca_file", bucket.ca_file or "/none", PATH, "/etc/ssl/certs/store.pem"),
    ]  # fmt: skip
    for what, value, expression, example in checks:
        if expression.fullmatch(value) is None:
            raise OperationError(f"pgbackrest: {what} {value!r} is not usable; write it like {example!r}")
    if not 1 <= bucket.port <= 65535:
        raise OperationError(f"pgbackrest: port {bucket.port} is none; write it like 443")
