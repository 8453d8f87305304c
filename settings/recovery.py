"""Point-in-time recovery: when the server is backed up, how long backups are kept, and where they are."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

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


class RecoverySettings(Model):
    """
    How the server can go back to a moment: by pgBackRest, every change archived as it happens.

    + enabled: False takes the timers and the configuration away, and leaves the repository; default True
    + full: when a full backup is made, default "Sun 02:00"
    + incremental: when what changed since is added to it, default "02:00"
    + keep_full: how many full backups are kept, each with all that follows it, default 2
    + repository: directory on the host, best on a disk of its own, default /var/lib/pgbackrest
    + stanza: the server's name in the repository, default "main"
    + queue: how much may wait to be archived before it is thrown away, so that a repository that cannot take
      it does not fill the server's own disk, default "1G"
    """

    enabled: bool = True
    full: When = "Sun 02:00"
    incremental: When = "02:00"
    keep_full: Annotated[int, Field(ge=1, le=100)] = 2
    repository: AbsolutePath = "/var/lib/pgbackrest"
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
