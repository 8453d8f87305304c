"""Backups of an app's database: when, how many are kept, how they are proven, and where copies go."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from settings.types import AbsolutePath, AsTuple, Line, Model, pattern

Time = Annotated[str, pattern(r"([01][0-9]|2[0-3]):[0-5][0-9]", "is not a time; write it like '03:30'")]
DayAndTime = Annotated[
    str,
    pattern(
        r"((Mon|Tue|Wed|Thu|Fri|Sat|Sun) )?([01][0-9]|2[0-3]):[0-5][0-9]",
        "is neither a day with a time nor a time; write it like 'Sun 04:30'",
    ),
]
Recipient = Annotated[
    str,
    pattern(
        r"age1[02-9ac-hj-np-z]{58}|ssh-(ed25519|rsa) [A-Za-z0-9+/=]+( [!-~]+)?",
        "is not a public key of age ('age1...', from age-keygen) nor of SSH; the private one stays elsewhere",
    ),
]
Target = Annotated[
    str,
    pattern(
        r"[A-Za-z0-9/][A-Za-z0-9_./@:+-]*",
        "is not a place to copy to; write HOST:DIRECTORY or a directory for rsync, REMOTE:PATH for rclone",
    ),
]


class CopySettings(Model):
    """
    Where encrypted copies of backups go.

    + kind: "rsync" (over SSH) or "rclone"
    + to: for rsync "USER@HOST:DIRECTORY" or a directory that is there; for rclone "REMOTE:PATH"
    + ssh_key: for rsync, root's private key on the host, default what its SSH configuration says
    + config: for rclone, its configuration on the host, root's and 0600; default that of root
    """

    kind: Literal["rsync", "rclone"]
    to: Target
    ssh_key: AbsolutePath | None = None
    config: AbsolutePath | None = None

    @model_validator(mode="after")
    def _fits(self) -> CopySettings:
        if self.kind == "rsync" and self.config is not None:
            raise ValueError("'config' is for rclone; rsync logs in by 'ssh_key'")
        if self.kind == "rclone" and self.ssh_key is not None:
            raise ValueError("'ssh_key' is for rsync; rclone has its own 'config'")
        return self


class BackupSettings(Model):
    """
    How an app's database is backed up.

    + at: time of the daily backup, in the host's time zone, default "03:30"
    + daily, weekly, monthly: the newest of each of so many days, weeks and months is kept, default 7, 4, 3;
      the newest of all, and the newest that is proven, always
    + prove: when the newest is restored beside the database and compared, default "Sun 04:30"; None for never
    + checks: SELECTs that must give true in what was restored, default none
    + age_recipients: public keys for which copies are encrypted, default none
    + copy: where encrypted copies go, default none
    """

    at: Time = "03:30"
    daily: Annotated[int, Field(ge=1, le=366)] = 7
    weekly: Annotated[int, Field(ge=0, le=520)] = 4
    monthly: Annotated[int, Field(ge=0, le=120)] = 3
    prove: DayAndTime | None = "Sun 04:30"
    checks: Annotated[tuple[Line, ...], AsTuple] = ()
    age_recipients: Annotated[tuple[Recipient, ...], AsTuple] = ()
    copy_: CopySettings | None = Field(default=None, alias="copy")

    @model_validator(mode="after")
    def _encrypted(self) -> BackupSettings:
        if self.copy_ is not None and not self.age_recipients:
            raise ValueError(
                "copies leave the host and would be readable there: add a public key to 'age_recipients' "
                "(age-keygen makes a pair; keep the private one elsewhere)"
            )
        if self.age_recipients and self.copy_ is None:
            raise ValueError(
                "'age_recipients' are for copies, and there is no 'copy'; add it, or remove them"
            )
        return self
