"""Run an app's own migrations, from a release that is not the current one yet."""

from __future__ import annotations

from collections.abc import Generator, Sequence

from pyinfra import host
from pyinfra.api import OperationError, QuoteString, StringCommand, operation

from facts.release import Releases


@operation()
def applied(
    app_dir: str,
    release: str,
    command: Sequence[str],
    *,
    user: str,
    env_file: str,
) -> Generator[StringCommand, None, None]:
    """
    Run a release's migration command as the service user, with the app's environment.

    Once a release is the current one its migrations have run, so there is nothing left to ask. The
    command itself must apply only what is pending: after an interrupted run it is started again.

    + app_dir: the app's directory, such as "/opt/rec_io"
    + release: name of the release, already unpacked
    + command: words; the first is absolute
    + user: service user
    + env_file: the app's environment file, read by systemd so that no secret is in an argument

    Raises OperationError for a command that is not absolute; a failing command fails the operation with
    what it said.

    Example:

        migrations.applied(
            app_dir="/opt/shop", release="3f9c2a71", user="shop", env_file="/etc/shop/env",
            command=["/opt/shop/venvs/1a2b/bin/python", "-m", "shop.migrate"],
        )
    """
    if not command or not command[0].startswith("/"):
        raise OperationError(f"migrations.applied: command {command!r} must begin with an absolute path")
    if host.get_fact(Releases, app_dir=app_dir)["current"] == release:
        host.noop(f"release {release} is the current one; its migrations have run")
        return
    yield StringCommand(
        "systemd-run", "--quiet", "--pipe", "--wait", "--collect", "--service-type=exec",
        "-p", QuoteString(f"User={user}"), "-p", QuoteString(f"EnvironmentFile={env_file}"),
        "-p", QuoteString(f"WorkingDirectory={app_dir}/releases/{release}"),
        "--", *(QuoteString(word) for word in command),
    )  # fmt: skip
