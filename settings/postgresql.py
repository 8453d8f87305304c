"""Settings of the database server that all apps of a host share."""

from __future__ import annotations

import ipaddress
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, field_validator

from settings.types import AsTuple, Model, Port, RoleName

SettingValue = str | int | float | bool


def _address(value: str) -> str:
    if value == "*":
        raise ValueError("would listen on every address; name the addresses, such as 'localhost'")
    if value != "localhost":
        ipaddress.ip_address(value)
    return value


def _network(value: str) -> str:
    ipaddress.ip_network(value)
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
    database: RoleName
    role: RoleName
    network: Annotated[str, AfterValidator(_network)]
    method: Literal["scram-sha-256"] = "scram-sha-256"


class PostgresqlSettings(Model):
    """
    The server: written to a file of its own in conf.d, checked before it counts.

    + port: default 5432
    + listen_addresses: default ("localhost",); "*" is refused
    + settings: any PostgreSQL setting by name, default none; `port` and `listen_addresses` are above
    + hba: rows beyond the apps' own, default none
    """

    port: Port = 5432
    listen_addresses: Annotated[
        tuple[Annotated[str, AfterValidator(_address)], ...], AsTuple, Field(min_length=1)
    ] = ("localhost",)
    settings: dict[str, SettingValue] = {}
    hba: Annotated[tuple[HbaRow, ...], AsTuple] = ()

    @field_validator("settings")
    @classmethod
    def _not_twice(cls, value: dict[str, SettingValue]) -> dict[str, SettingValue]:
        for key in ("port", "listen_addresses"):
            if key in value:
                raise ValueError(f"{key!r} has a setting of its own: postgresql.{key}")
        return value

    def effective(self) -> dict[str, SettingValue]:
        """Return every server setting, the ones with a field of their own included."""
        return {"listen_addresses": ", ".join(self.listen_addresses), "port": self.port, **self.settings}
