"""Health of the apps, looked at every minute, and the monitoring that is built on it."""

from __future__ import annotations

import ipaddress
from typing import Annotated

from pydantic import AfterValidator, Field, model_validator

from settings.recovery import GivenSecret, HostName
from settings.secrets import SecretSource
from settings.types import AsTuple, Line, Model, Port, pattern

# Of node exporter and PostgreSQL's; and of Prometheus and Alertmanager.
EXPORTER_PORTS = (9100, 9187)
PORTS = (*EXPORTER_PORTS, 9090, 9093)


def private(value: str) -> str:
    """Return an address of a private network, as it is usually written; raise ValueError for any other."""
    try:
        found = ipaddress.ip_address(value)
    except ValueError:
        raise ValueError("is no address; write one of a private network, such as '10.0.0.2'") from None
    nobodys = found.is_loopback or found.is_unspecified or found.is_link_local or found.is_multicast
    if nobodys or found.is_reserved or not found.is_private or "%" in value or ":ffff:" in value.lower():
        raise ValueError(
            "is no address of a private network, and whoever reaches it reads all measurements; write one "
            "such as '10.0.0.2'"
        )
    return str(found)


PrivateAddress = Annotated[str, AfterValidator(private)]
HostLabel = Annotated[
    str,
    pattern(r"[A-Za-z0-9@][A-Za-z0-9@._-]*", "is no name of a host; use letters, digits and '@._-'"),
]
Address = Annotated[
    str, pattern(r"[!-?A-~]+@[A-Za-z0-9.-]+", "is not an e-mail address; write it like 'ops@example.com'")
]
Bytes = Annotated[
    str, pattern(r"[1-9][0-9]{0,3}(MB|GB)", "is not a size; write a number and MB or GB, such as '512MB'")
]


class BaselineSettings(Model):
    """
    How long what is usual of an app is learnt after each new release; kept only where `monitoring` is on.

    + hours: default 24
    + samples: values of each metric at least, of the 288 that this time has, default 100
    """

    hours: Annotated[float, Field(gt=0, le=14 * 24)] = 24
    samples: Annotated[int, Field(ge=3, le=288)] = 100


class HealthSettings(Model):
    """
    How often the gates of all apps are run on the host itself, and what follows.

    + every: seconds from round to round, 10 to 3600, default 60
    + restart_after: rounds in a row that a service must have failed to be restarted, default None, never
    + restarts_per_hour: restarts of one app's services in an hour at most, default 3
    + baseline: how long what is usual is learnt, default 24 hours; None: it is not learnt
    """

    every: Annotated[int, Field(ge=10, le=3600)] = 60
    restart_after: Annotated[int, Field(ge=2, le=1440)] | None = None
    restarts_per_hour: Annotated[int, Field(ge=1, le=60)] = 3
    baseline: BaselineSettings | None = BaselineSettings()


class EmailSettings(Model):
    """
    Who is written to when an alert begins and when it ends.

    + to, sender: addresses
    + server: name of the mail server
    + port: default 587; always TLS
    + username: what the server knows this host by, default `sender`
    + password: from a variable or an age file, default none: the server takes mail without
    """

    to: Address
    sender: Address
    server: HostName
    port: Port = 587
    username: Line | None = None
    password: GivenSecret | None = None


class MonitoringSettings(Model):
    """
    Exporters on this host and, with `server`, the Prometheus that asks them, on 127.0.0.1 unless told.

    + server: also run Prometheus and Alertmanager here, default True
    + targets: other hosts that this Prometheus asks, name in alerts to private address, default none
    + listen: private address of this host that its exporters are reached at, too, default none
    + asked_by: private addresses that may ask them there, with `listen`
    + keep_days: how long measurements are kept, default 15
    + keep_size: how much of the disk they may take, default "512MB"
    + every: seconds from one measurement to the next, 5 to 60, default 30
    + minute: seconds that a minute of the alert rules has, default 60; less only to see them fire
    + webhook: URL that is told of alerts, from a variable or an age file, default none
    + email: who is written to, default none
    """

    server: bool = True
    targets: dict[HostLabel, PrivateAddress] = {}
    listen: PrivateAddress | None = None
    asked_by: Annotated[tuple[PrivateAddress, ...], AsTuple] = ()
    keep_days: Annotated[int, Field(ge=1, le=400)] = 15
    keep_size: Bytes = "512MB"
    every: Annotated[int, Field(ge=5, le=60)] = 30
    minute: Annotated[int, Field(ge=2, le=60)] = 60
    webhook: GivenSecret | None = None
    email: EmailSettings | None = None

    @model_validator(mode="after")
    def _heard(self) -> MonitoringSettings:
        if not self.server and (self.webhook is not None or self.email is not None):
            raise ValueError("'webhook' and 'email' are Alertmanager's, and 'server' is off; switch it on")
        return self

    @model_validator(mode="after")
    def _asked(self) -> MonitoringSettings:
        if self.listen is not None and not self.asked_by:
            raise ValueError(
                f"'listen' is {self.listen!r} and 'asked_by' is empty; name the addresses that may ask there"
            )
        if self.asked_by and self.listen is None:
            raise ValueError(
                f"'asked_by' is {', '.join(self.asked_by)} and 'listen' is not set; set it to the private "
                "address of this host"
            )
        if self.targets and not self.server:
            raise ValueError("'targets' are Prometheus', and 'server' is off; switch it on")
        asking: set[str] = set()
        for address in self.asked_by:
            if address in asking:
                raise ValueError(f"'asked_by' names {address} twice; remove one")
            asking.add(address)
            if address == self.listen:
                raise ValueError(
                    f"'asked_by' names {address}, this host's own 'listen'; it asks itself without"
                )
            if (":" in address) is not (":" in str(self.listen)):
                raise ValueError(
                    f"'asked_by' names {address}, which cannot reach {self.listen}: one is IPv4, one IPv6"
                )
        named: dict[str, str] = {}
        for name, address in self.targets.items():
            if address == self.listen:
                raise ValueError(f"targets.{name}: {address} is this host's own 'listen'; remove it")
            if named.setdefault(address, name) != name:
                raise ValueError(
                    f"targets.{name}: {address} is already the one of {named[address]}; each host has its own"
                )
        return self

    @property
    def ports(self) -> tuple[int, ...]:
        """The ports of this host that it takes."""
        return PORTS if self.server else EXPORTER_PORTS

    @property
    def secrets(self) -> dict[str, SecretSource]:
        """Return where each of its secrets comes from, by name."""
        password = None if self.email is None else self.email.password
        found = {"webhook": self.webhook, "email_password": password}
        return {name: source for name, source in found.items() if source is not None}
