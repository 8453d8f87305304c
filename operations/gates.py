"""Gates: what must hold of an app after a change, or the change is undone."""

from __future__ import annotations

import re
from collections.abc import Generator

from pyinfra.api import OperationError, StringCommand, operation

from facts.script import script
from operations.told import told

PATH = re.compile(r"(/[A-Za-z0-9_][A-Za-z0-9._-]*)+")
NAME = re.compile(r"[a-z][a-z0-9_]{0,30}")


@operation(is_idempotent=False)
def passed(
    app: str, *, spec_file: str | None = None, spec: str | None = None, since: str | float | None = None
) -> Generator[StringCommand, None, None]:
    """
    Run all gates of an app at once, each with its deadline; one that does not pass fails the operation.

    It looks and changes nothing; not idempotent, because whether they pass is known only once they have run.
    A failure says of each gate what was expected and what was seen, with the last log lines of the service.

    + app: name of the app, for messages
    + spec_file: absolute path of the spec on the host, as docs/gates.md describes it
    + spec: the spec's own text, in place of a file
    + since: from when on log lines are new: UNIX time, or absolute path whose own time it is, such as
      /opt/rec_io/current for the switch; default the moment when the gates begin

    Raises OperationError for names, paths and times that are not usable.

    Example:

        gates.passed(
            name="Check the gates of rec_io",
            app="rec_io",
            spec_file="/opt/rec_io/current/gates.json",
            since="/opt/rec_io/current",
        )
    """
    if not NAME.fullmatch(app):
        raise OperationError(f"gates.passed: app {app!r} is not the name of an app; use a-z, 0-9 and _")
    if (spec_file is None) == (spec is None):
        raise OperationError(f"gates.passed: {app} needs 'spec_file' or 'spec', and not both")
    if spec_file is not None and not PATH.fullmatch(spec_file):
        raise OperationError(f"gates.passed: spec_file {spec_file!r} is not usable; write an absolute path")
    if isinstance(since, str) and not PATH.fullmatch(since):
        raise OperationError(
            f"gates.passed: since {since!r} is not usable; write a UNIX time, or an absolute path"
        )
    if isinstance(since, int | float) and not 0 <= since < float("inf"):
        raise OperationError(f"gates.passed: since is {since}; write a UNIX time, seconds since 1970")
    options = ["--since", str(since)] if since is not None else []
    yield told(script("gates.py", *options, spec_file if spec_file is not None else "-", stdin=spec))
