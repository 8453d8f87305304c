"""What `operations/monitoring.py` is told of a host, and what of it is not usable."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from pyinfra.api import OperationError

HOST = re.compile(r"[A-Za-z0-9@][A-Za-z0-9@._-]*")


@dataclass(frozen=True)
class Email:
    """
    Who is written to; the password is the secret "email_password", where there is one.

    + to, sender: addresses
    + server: name of the mail server
    + port: default 587
    + username: default the sender
    + password: whether there is one, default False
    """

    to: str
    sender: str
    server: str
    port: int = 587
    username: str | None = None
    password: bool = False


@dataclass(frozen=True)
class Monitoring:
    """
    What monitors a host.

    + host: its name in alerts
    + server: whether Prometheus and Alertmanager run here too, default True
    + listen: address of this host that the exporters are reached at beside 127.0.0.1, default none
    + targets: other hosts that Prometheus asks, name in alerts to address, default none
    + every: seconds from one measurement to the next, default 30
    + minute: seconds that a minute of the alert rules has, default 60
    + keep_days, keep_size: how long and how large measurements are kept, default 15 and "512MB"
    + database_port: of PostgreSQL, default 5432
    + webhook: whether there is the secret "webhook", a URL, default False
    + email: default none
    """

    host: str
    server: bool = True
    listen: str | None = None
    targets: Mapping[str, str] = field(default_factory=dict)
    every: int = 30
    minute: int = 60
    keep_days: int = 15
    keep_size: str = "512MB"
    database_port: int = 5432
    webhook: bool = False
    email: Email | None = None


def check(one: Monitoring) -> None:
    """Raise OperationError for what is not usable."""
    if HOST.fullmatch(one.host) is None:
        raise OperationError(f"monitoring: host {one.host!r} is not usable; use letters, digits and '@._-'")
    for name in one.targets:
        if HOST.fullmatch(name) is None or name == one.host:
            raise OperationError(
                f"monitoring: target {name!r} is not usable; use letters, digits and '@._-', and not this "
                "host's own name"
            )
    for address in [*one.targets.values(), *([one.listen] if one.listen is not None else [])]:
        try:
            ipaddress.ip_address(address)
        except ValueError:
            raise OperationError(f"monitoring: {address!r} is no address; write it like '10.0.0.2'") from None
    for what, value, low in (
        ("every", one.every, 1),
        ("minute", one.minute, 1),
        ("keep_days", one.keep_days, 1),
    ):
        if value < low:
            raise OperationError(f"monitoring: {what} is {value}; write {low} or more")
    if re.fullmatch(r"[1-9][0-9]*(MB|GB)", one.keep_size) is None:
        raise OperationError(f"monitoring: keep_size is {one.keep_size!r}; write it like '512MB'")
