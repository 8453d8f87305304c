"""Run an app's own migrations, from a release that is not the current one yet."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Generator, Sequence

from pyinfra import host
from pyinfra.api import OperationError, StringCommand, operation

from facts.release import Releases
from facts.script import script

# Long enough for a migration that rewrites a large table; nobody is kept waiting for ever by a hung one.
EARLIER_SECONDS = 900


@operation()
def applied(
    app_dir: str,
    release: str,
    command: Sequence[str],
    *,
    user: str,
    env_file: str,
    wait: int = EARLIER_SECONDS,
) -> Generator[StringCommand, None, None]:
    """
    Run a release's migration command as the service user, with the app's environment.

    Once a release is the current one its migrations have run, so there is nothing left to ask. The
    command itself must apply only what is pending: after an interrupted run it is started again. It runs
    in the unit `hostwright-migrate-<app>`, which a lost connection does not end: the next run waits for it
    before it starts its own, so that two never run at a time. Its output is in the journal too.

    + app_dir: the app's directory, such as "/opt/rec_io"; its last part names the unit
    + release: name of the release, already unpacked
    + command: words; the first is absolute
    + user: service user
    + env_file: the app's environment file, read by systemd so that no secret is in an argument
    + wait: seconds that an earlier run's migration may still take, default 900; after that this one fails

    Raises OperationError for a command or directory that is not absolute, or a negative wait; a failing
    command fails the operation with what it said.

    Example:

        migrations.applied(
            app_dir="/opt/shop", release="3f9c2a71", user="shop", env_file="/etc/shop/env",
            command=["/opt/shop/venvs/1a2b/bin/python", "-m", "shop.migrate"],
        )
    """
    if not command or not command[0].startswith("/"):
        raise OperationError(f"migrations.applied: command {command!r} must begin with an absolute path")
    for what, path in (("app_dir", app_dir), ("env_file", env_file)):
        if re.fullmatch(r"(/[A-Za-z0-9_][A-Za-z0-9._-]*)+", path) is None:
            raise OperationError(
                f"migrations.applied: {what} {path!r} is not usable; write an absolute path like /opt/shop"
            )
    if wait < 0:
        raise OperationError(f"migrations.applied: wait is {wait}; write seconds, 0 or more")
    if host.get_fact(Releases, app_dir=app_dir)["current"] == release:
        host.noop(f"release {release} is the current one; its migrations have run")
        return
    unit = f"hostwright-migrate-{posixpath.basename(app_dir)}.service"
    yield script(
        "migrations-run.sh", unit, user, env_file, f"{app_dir}/releases/{release}", wait, *command
    )  # fmt: skip
