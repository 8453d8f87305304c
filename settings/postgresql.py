"""Settings of the database server that all apps of a host share."""

from __future__ import annotations

import ipaddress
import re
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, field_validator, model_validator

from settings.names import DatabaseName, RoleName
from settings.recovery import RecoverySettings
from settings.types import AsTuple, Line, Model, Port, Size

SettingValue = Line | int | float | bool
# What says where the server's own files are: Debian's tools decide that.
NOT_OURS = ("config_file", "data_directory", "external_pid_file", "hba_file", "ident_file")

PRELOADED, STATEMENTS = "shared_preload_libraries", "pg_stat_statements"


def _address(value: str) -> str:
    if value == "localhost":
        return value
    try:
        everywhere = value == "*" or ipaddress.ip_address(value).is_unspecified
    except ValueError:
        raise ValueError(
            "is not an IP address; write 'localhost' or an address, such as '203.0.113.7'"
        ) from None
    if everywhere:
        raise ValueError("would listen on every address; name the addresses, such as 'localhost'")
    return value


def _network(value: str) -> str:
    try:
        ipaddress.ip_network(value)
    except ValueError as error:
        raise ValueError(f"is not a network ({error}); write CIDR, such as '203.0.113.7/32'") from None
    return value


class HbaRow(Model):
    """
    Who may connect from elsewhere than this host; the apps' own rows are made from their databases.

    + type: "hostssl" (default) or "host"
    + database, role: names
    + network: CIDR, such as "203.0.113.7/32"
    + method: "scram-sha-256", the only one that is accepted
    """

    type: Literal["host", "hostssl"] = "hostssl"
    database: DatabaseName
    role: RoleName
    network: Annotated[str, AfterValidator(_network)]
    method: Literal["scram-sha-256"] = "scram-sha-256"


class PostgresqlSettings(Model):
    """
    The server: written to a file of its own in conf.d, checked before it counts.

    + cluster: "VERSION/NAME" where the host has several, such as "15/main", default its only one
    + port: default 5432
    + listen_addresses: default ("localhost",); "*" is refused
    + memory: "auto" (default) computes shared_buffers and its like from the host's RAM, a size such as "2G"
      from that much, None not at all; what `settings` names wins
    + statements: count what statements cost, for queries.py, by pg_stat_statements in each app's database,
      default True
    + settings: any PostgreSQL setting by name, default none; `port` and `listen_addresses` are above
    + hba: rows beyond the apps' own, default none
    + recovery: how it can go back to a moment, default not at all; see there
    """

    cluster: Annotated[str, Field(pattern=r"^[1-9][0-9]*/[A-Za-z0-9_.-]+$")] | None = None
    port: Port = 5432
    listen_addresses: Annotated[
        tuple[Annotated[str, AfterValidator(_address)], ...], AsTuple, Field(min_length=1)
    ] = ("localhost",)
    memory: Literal["auto"] | Size | None = "auto"
    statements: bool = True
    settings: dict[str, SettingValue] = {}
    hba: Annotated[tuple[HbaRow, ...], AsTuple] = ()
    recovery: RecoverySettings | None = None

    @field_validator("settings")
    @classmethod
    def _not_twice(cls, value: dict[str, SettingValue]) -> dict[str, SettingValue]:
        for key in ("port", "listen_addresses"):
            if key in value:
                raise ValueError(f"{key!r} has a setting of its own: postgresql.{key}")
        for key in value:
            if not re.fullmatch(r"[a-z_][a-z0-9_]*(\.[a-z_][a-z0-9_]*)?", key) or key in NOT_OURS:
                raise ValueError(
                    f"{key!r} is not a server setting that can be declared here; write its lower-case name"
                )
        return value

    @model_validator(mode="after")
    def _archived_once(self) -> PostgresqlSettings:
        for key in ("archive_mode", "archive_command", "archive_library"):
            if key in self.settings and self.recovery is not None and self.recovery.enabled:
                raise ValueError(f"{key!r} is set by postgresql.recovery; remove one of the two")
        return self

    def effective(self) -> dict[str, SettingValue]:
        """Return every server setting, the ones with a field of their own included."""
        archived = self.recovery.server_settings() if self.recovery is not None else {}
        addresses = ", ".join(self.listen_addresses)
        own = {"listen_addresses": addresses, "port": self.port, **archived, **self.settings}
        if self.statements:
            libraries = [one.strip() for one in str(own.get(PRELOADED, "")).split(",") if one.strip()]
            own[PRELOADED] = ", ".join(dict.fromkeys([*libraries, STATEMENTS]))
        return own

    def extensions(self) -> list[str]:
        """Return the extensions that every app's database gets, beyond its own."""
        return [STATEMENTS] if self.statements else []
