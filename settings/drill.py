"""The crash drill: what must be as it was after a restart and after a crash."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator, Field

from settings.types import AsTuple, Line, Model, Slug


def _finds_a_number(value: str) -> str:
    try:
        groups = re.compile(value).groupindex
    except re.error as error:
        raise ValueError(f"is not a regular expression ({error})") from None
    if "ms" not in groups:
        raise ValueError("does not name the milliseconds; write them as (?P<ms>[0-9]+)")
    return value


class DrillSettings(Model):
    """
    What `drill.py` compares before and after it restarts a service and then kills it.

    + service: the one that is killed, default the only one that has `health`
    + equal: fields of its health page that must be as they were
    + query: one SELECT that counts what the health page counts too, default none
    + counted: the field of the health page that it must be equal to; needed with `query`
    + recovery: regular expression of the line that the service logs once it has recovered, with the group
      (?P<ms>...), default none
    + milliseconds: what that may be at most, default 100 (requirement B7)
    + seconds: how long the service may take until its health page answers 200 again, default 30
    """

    service: Slug | None = None
    equal: Annotated[tuple[Line, ...], AsTuple, Field(min_length=1)]
    query: Line | None = None
    counted: Line | None = None
    recovery: Annotated[Line, AfterValidator(_finds_a_number)] | None = None
    milliseconds: Annotated[int, Field(ge=1, le=600_000)] = 100
    seconds: Annotated[int, Field(ge=1, le=600)] = 30

    def findings(self, health: list[str], *, units: bool, database: bool) -> list[str]:
        """
        Return what does not fit the app.

        + health: its services that have `health`
        + units: whether systemd runs them
        + database: whether it has one
        """
        if not units:
            return ["kills a systemd unit, and this app's process_manager is another; remove it"]
        if self.service is not None and self.service not in health:
            return [f"service {self.service!r} has no 'health'; there are: {', '.join(health) or 'none'}"]
        if self.service is None and len(health) != 1:
            return [f"{len(health)} services have 'health'; name the one that is killed as 'service'"]
        if (self.query is None) != (self.counted is None):
            return ["needs 'query' and 'counted', or none of them: each is compared with the other"]
        if self.query is not None and not database:
            return ["'query' asks a database; declare 'database', or remove it"]
        return []
