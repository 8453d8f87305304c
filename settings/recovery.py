"""Point-in-time recovery: when the server is backed up, how long backups are kept, and where they are."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field

from settings.secrets import SecretSource
from settings.types import AbsolutePath, Model, Size, pattern

When = Annotated[
    str,
    pattern(
        r"((Mon|Tue|Wed|Thu|Fri|Sat|Sun) )?([01][0-9]|2[0-3]):[0-5][0-9]",
        "is neither a day with a time nor a time; write it like 'Sun 02:00' or '02:00'",
    ),
]
Stanza = Annotated[
    str, pattern(r"[a-z0-9][a-z0-9_.-]{0,62}", "is not a stanza's name; use a-z, 0-9, '_', '.' and '-'")
]


def _given(source: SecretSource) -> SecretSource:
    if source.source == "generated":
        raise ValueError("would be on the host alone, and be lost with it; use 'environment' or 'age'")
    return source


GivenSecret = Annotated[SecretSource, AfterValidator(_given)]
HostName = Annotated[
    str,
    pattern(
        r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?",
        "is not a host's name; write it without 'https://' and port, such as 'fra1.digitaloceanspaces.com'",
    ),
]
Region = Annotated[str, pattern(r"[a-z0-9-]{1,63}", "is not a region's name; write it like 'eu-central-1'")]
BucketName = Annotated[
    str,
    pattern(
        r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]",
        "is not a bucket's name; they have 3 to 63 of a-z, 0-9, '.' and '-'",
    ),
]


class BucketSettings(Model):
    """
    Where the repository is, where it is not on the host: a bucket of S3, or of a store that speaks like it.

    Everything in it is encrypted before it leaves the host.

    + endpoint: name of the store's host, such as "s3.eu-central-1.amazonaws.com"
    + bucket: its name; it has to be there
    + access_key, secret_key: what the store knows this host by, from a variable or an age file
    + passphrase: what the repository is encrypted with, from there too; without it no backup can be read
    + region: default "us-east-1", which stores without regions take
    + port: default 443; always TLS
    + path_style: whether the bucket is a part of the path, not of the name, default False
    + ca_file: on the host, who vouches for the store, default the system's own list
    """

    endpoint: HostName
    bucket: BucketName
    access_key: GivenSecret
    secret_key: GivenSecret
    passphrase: GivenSecret
    region: Region = "us-east-1"
    port: Annotated[int, Field(ge=1, le=65535)] = 443
    path_style: bool = False
    ca_file: AbsolutePath | None = None

    @property
    def secrets(self) -> dict[str, SecretSource]:
        """Return where each of its secrets comes from, by name."""
        return {
            "access_key": self.access_key,
            "secret_key": self.secret_key,
            "passphrase": self.passphrase,
        }


class RecoverySettings(Model):
    """
    How the server can go back to a moment: by pgBackRest, every change archived as it happens.

    + enabled: False takes the timers and the configuration away, and leaves the repository; default True
    + full: when a full backup is made, default "Sun 02:00"
    + incremental: when what changed since is added to it, default "02:00"
    + keep_full: how many full backups are kept, each with all that follows it, default 2
    + repository: directory on the host, best on a disk of its own, or in the bucket; default
      /var/lib/pgbackrest
    + s3: the bucket that the repository is in, default none: it is on the host
    + stanza: the server's name in the repository, default "main"
    + queue: how much may wait to be archived before it is thrown away, so that a repository that cannot take
      it does not fill the server's own disk, default "1G"
    """

    enabled: bool = True
    full: When = "Sun 02:00"
    incremental: When = "02:00"
    keep_full: Annotated[int, Field(ge=1, le=100)] = 2
    repository: AbsolutePath = "/var/lib/pgbackrest"
    s3: BucketSettings | None = None
    stanza: Stanza = "main"
    queue: Size = "1G"

    def server_settings(self) -> dict[str, str]:
        """Return the settings of PostgreSQL that archive every change, or none where it is not enabled."""
        if not self.enabled:
            return {}
        return {
            "archive_mode": "on",
            "archive_command": f'/usr/bin/pgbackrest --stanza={self.stanza} archive-push "%p"',
            "archive_timeout": "5min",
        }
