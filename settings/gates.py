"""Gates: what must hold after a change, or the change is undone."""

from __future__ import annotations

import difflib
import re
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from settings.commands import Command
from settings.types import AsTuple, FilePattern, Line, Model, Port

KINDS = ("running", "http", "tcp", "sql", "file_age", "count", "log", "command")
Seconds = Annotated[int, Field(ge=1, le=3600)]
Text = Annotated[Line, Field(min_length=1)]


def _expression(value: str) -> str:
    try:
        re.compile(value)
    except re.error as error:
        raise ValueError(
            f"is not a regular expression ({error}); mend it, such as 'ERROR|Traceback'"
        ) from None
    return value


class _Gate(Model):
    """
    What every gate has.

    + seconds: until it must have passed, default the app's `gate_seconds`
    """

    seconds: Seconds | None = None


class RunningGate(_Gate):
    """
    The service runs, and still as the same process after a while; without this, the app's `gate_stays` holds.

    + stays: seconds that it must stay the same process; less than `seconds`
    """

    kind: Literal["running"]
    stays: Annotated[int, Field(ge=1, le=600)]


class HttpGate(_Gate):
    """
    A page of this host answers.

    + path: default "/"
    + port: default the service's own
    + status: the status that is expected, default 200
    + contains: text that the page must contain, default none
    + json_has: dotted places in a JSON answer to the values there, {"status": "healthy"}, default none
    """

    kind: Literal["http"]
    path: Annotated[str, Field(pattern=r"^/[!-~]*$")] = "/"
    port: Port | None = None
    status: Annotated[int, Field(ge=100, le=599)] = 200
    contains: Text | None = None
    json_has: dict[Text, str | int | float | bool | None] = {}


class TcpGate(_Gate):
    """
    A port accepts connections.

    + port: default the service's own
    + host: address or name, default "127.0.0.1"
    """

    kind: Literal["tcp"]
    port: Port | None = None
    host: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9.:-]*$")] = "127.0.0.1"


class SqlGate(_Gate):
    """
    A query by the app's own role and password answers; it cannot write.

    + query: one SELECT
    + returns: the whole answer as text, default any row
    + max_age: the answer is a time, at most this many seconds old
    """

    kind: Literal["sql"]
    query: Text
    returns: str | None = None
    max_age: Seconds | None = None

    @model_validator(mode="after")
    def _one_answer(self) -> SqlGate:
        if self.returns is not None and self.max_age is not None:
            raise ValueError("has both 'returns' and 'max_age'; one query has one answer: remove one of them")
        return self


class FileAgeGate(_Gate):
    """
    The newest file is fresh.

    + path: directory, with all below it, or pattern, within the app's shared directory
    + max_age: seconds that its newest file may be old
    + json_whole: every .json file must parse, default False
    + new: it must have been written since the gates began, default False
    """

    kind: Literal["file_age"]
    path: FilePattern
    max_age: Seconds
    json_whole: bool = False
    new: bool = False


class CountGate(_Gate):
    """
    Files, or lines in them, become more; it passes as soon as they have.

    + path: directory, with all below it, or pattern, within the app's shared directory; lines are counted in
      the files of the directory itself
    + what: "files" (default) or "lines"
    + by: how many more, default 1
    """

    kind: Literal["count"]
    path: FilePattern
    what: Literal["files", "lines"] = "files"
    by: Annotated[int, Field(ge=1)] = 1


class LogGate(_Gate):
    """
    No new line in the logs of the service, or of all services of the app, matches.

    + pattern: regular expression, found anywhere in a line
    + stays: seconds that it watches at least, default the app's `gate_stays`
    """

    kind: Literal["log"]
    pattern: Annotated[Text, AfterValidator(_expression)]
    stays: Annotated[int, Field(ge=1, le=600)] | None = None


class CommandGate(_Gate):
    """
    A command succeeds, run as the service user with the app's environment, in the current release.

    + command: text or list of words; the first is absolute or a program of the app's virtual environment
    + exit_code: default 0
    + contains: text that its output must contain, default none
    """

    kind: Literal["command"]
    command: Command
    exit_code: Annotated[int, Field(ge=0, le=255)] = 0
    contains: Text | None = None


def _known_kind(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    kind = value.get("kind")
    if kind not in KINDS:
        close = difflib.get_close_matches(str(kind), KINDS, n=1)
        meant = f"; did you mean {close[0]!r}?" if close else f"; write one of {', '.join(KINDS)}"
        raise ValueError(f"kind {kind!r} is not a kind of gate{meant}")
    return value


AnyGate = RunningGate | HttpGate | TcpGate | SqlGate | FileAgeGate | CountGate | LogGate | CommandGate
Gate = Annotated[AnyGate, Field(discriminator="kind"), BeforeValidator(_known_kind)]
Gates = Annotated[tuple[Gate, ...], AsTuple]


def findings(
    gates: tuple[AnyGate, ...], *, service: bool, port: int | None, database: bool, seconds: int
) -> list[str]:
    """
    Return what is wrong with gates where they stand.

    + gates: of one service, or of the app
    + service: whether it is a service
    + port: the service's own
    + database: whether the app has one
    + seconds: until a gate must have passed that does not say so itself
    """
    found = []
    for number, gate in enumerate(gates):
        place = f"gates.{number} ({gate.kind})"
        if isinstance(gate, HttpGate | TcpGate) and gate.port is None and port is None:
            found.append(f"{place}: needs 'port', the port that it is asked on")
        if isinstance(gate, SqlGate) and not database:
            found.append(f"{place}: the app has no 'database' to ask; declare it, or remove the gate")
        if isinstance(gate, RunningGate) and not service:
            found.append(f"{place}: belongs to a service; for all of them write 'gate_stays'")
        stays = getattr(gate, "stays", None) or 0
        if stays >= (gate.seconds or seconds):
            found.append(f"{place}: stays {stays} is not less than its {gate.seconds or seconds} seconds")
    return found
