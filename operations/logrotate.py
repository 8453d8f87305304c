"""Turn an app's logs over every day: not one process restarted, not one line lost."""

from __future__ import annotations

import re
from collections.abc import Generator, Sequence

from pyinfra.api import OperationError, StringCommand, operation

from facts.script import script
from operations import atomic
from operations.supervisor_text import NAME, render

PATTERN = re.compile(r"(/[A-Za-z0-9_*?][A-Za-z0-9._*?-]*)+")


@operation()
def logs(
    app: str,
    patterns: Sequence[str],
    *,
    user: str,
    group: str | None = None,
    keep: int = 7,
) -> Generator[StringCommand, None, None]:
    """
    Rotate an app's logs daily, compressed, as its service user; its supervisor then opens the new files.

    The supervisor gets SIGUSR2, which restarts nothing. What a service writes between the move and that
    moment is in the moved file, which is compressed only at the next rotation.

    + app: name of the app; its supervisor runs as `<app>.service`
    + patterns: absolute paths of the logs; `*` and `?` are wildcards
    + user: owner of the logs and of their directory, never root
    + group: default the user's name
    + keep: rotated files that are kept for each log, one a day, default 7

    Writes `/etc/logrotate.d/<app>` and nothing else: logrotate's own timer comes with its package.

    Raises OperationError for a name or pattern that is not usable. A configuration that logrotate does
    not accept, an unknown user for one, fails the operation and leaves the old one.

    Example:

        logrotate.logs(
            name="Keep a week of rec_io's logs",
            app="rec_io",
            patterns=["/opt/rec_io/shared/logs/*.log"],
            user="trader",
        )
    """
    group = group or user
    for what, value in (("app", app), ("user", user), ("group", group)):
        if NAME.fullmatch(value) is None:
            raise OperationError(f"logrotate: {what} {value!r} has more than letters, digits, '_', '.', '-'")
    if user == "root":
        raise OperationError("logrotate: user is root; name the service user that the logs belong to")
    if not patterns:
        raise OperationError(
            f"logrotate: no patterns for {app}; name its logs, such as /opt/{app}/shared/logs/*.log"
        )
    for pattern in patterns:
        if PATTERN.fullmatch(pattern) is None:
            raise OperationError(
                f"logrotate: pattern {pattern!r} is not usable; write it like /opt/app/logs/*.log"
            )
    if keep < 1:
        raise OperationError(f"logrotate: keep is {keep}; write how many rotated files stay, 1 or more")
    yield from atomic.file._inner(
        path=f"/etc/logrotate.d/{app}",
        content=render(
            "logrotate.j2",
            app=app,
            patterns=" ".join(patterns),
            user=user,
            group=group,
            keep=keep,
            unit=f"{app}.service",
        ),
        validate=script("logrotate-check.sh").get_raw_value(),
    )
