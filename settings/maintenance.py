"""Maintenance: how an app is told to take nothing new before a switch, and when it has drained."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Literal

from pydantic import Field, model_validator

from settings.gates import Gates, HttpGate, TcpGate, findings
from settings.types import InnerPath, Model, Slug


class HttpCall(Model):
    """
    A request to the app on its own host; it must be answered with a status from 200 to 299.

    + path: such as "/admin/maintenance/on"
    + method: default "POST"
    """

    path: Annotated[str, Field(pattern=r"^/[!-~]*$")]
    method: Literal["POST", "PUT", "DELETE", "GET"] = "POST"


class MaintenanceSettings(Model):
    """
    What happens before services are restarted for another release, and after they run again.

    + flag: file in the app's shared directory that is there during maintenance, default "maintenance"
    + enter, leave: requests that the app gets besides, default none
    + service: the one that is asked, default the only one that has a port
    + drained: gates that say that nothing is under way any more, default none: nothing is waited for
    + seconds: how long that may take, 1 to 3600, default 30; then the deploy fails, and nothing was stopped
    """

    flag: InnerPath = "maintenance"
    enter: HttpCall | None = None
    leave: HttpCall | None = None
    service: Slug | None = None
    drained: Gates = ()
    seconds: Annotated[int, Field(ge=1, le=3600)] = 30

    @model_validator(mode="after")
    def _both_ways(self) -> MaintenanceSettings:
        if (self.enter is None) != (self.leave is None):
            raise ValueError("has only one of 'enter' and 'leave'; the app must hear of both")
        return self

    def findings(self, ports: Mapping[str, int], shared: Sequence[str], database: bool) -> list[str]:
        """
        Return what does not fit the app.

        + ports: service to port, of those that have one
        + shared: the app's shared directories
        + database: whether it has one
        """
        if self.service is not None and self.service not in ports:
            known = ", ".join(ports) or "none"
            return [f"service {self.service!r} is no service with a port; there are: {known}"]
        asked = self.enter is not None or any(isinstance(one, HttpGate | TcpGate) for one in self.drained)
        if self.service is None and asked and len(ports) != 1:
            return [f"{len(ports)} services have a port; name the one that is asked as 'service'"]
        if self.flag in shared:
            return [f"flag {self.flag!r} is a directory of 'shared'; choose another name"]
        port = ports[self.service] if self.service is not None else next(iter(ports.values()), None)
        return findings(self.drained, service=True, port=port, database=database, seconds=self.seconds)
