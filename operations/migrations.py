"""Apply an app's migrations from a release that is not the current one yet, with a dump made before."""

from __future__ import annotations

import json
import posixpath
import re
from collections.abc import Callable, Generator, Sequence

from pyinfra import host, logger
from pyinfra.api import OperationError, StringCommand, operation

from facts.migrations import Migrations
from facts.postgres import cluster as at
from facts.release import Releases
from facts.script import script, text
from operations import schema
from operations.differences import differs
from operations.postgres.sqltext import check_cluster, check_name
from operations.secrets import Variable

WHERE = "migrations.applied"
# Long enough for a migration that rewrites a large table; nobody is kept waiting for ever by a hung one.
EARLIER_SECONDS = 900
# Each may wait for its locks this often: 5 s each, with 1, 2, 3, ... s between, is 40 s in all.
LOCK_SECONDS = 5
TRIES = 6
PATH = re.compile(r"(/[A-Za-z0-9_][A-Za-z0-9._-]*)+")
INNER = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*(/[A-Za-z0-9_][A-Za-z0-9._-]*)*")


@operation()
def applied(
    app_dir: str,
    release: str,
    command: Sequence[str] | None = None,
    *,
    user: str,
    env_file: str | None = None,
    variables: Sequence[Variable] = (),
    secrets_directory: str | None = None,
    directory: str | None = None,
    files: Sequence[schema.File] | None = None,
    database: str | None = None,
    role: str | None = None,
    password_file: str | None = None,
    cluster: str | None = None,
    lock_seconds: int = LOCK_SECONDS,
    dump_to: Callable[[], str] | str | None = None,
    wait: int = EARLIER_SECONDS,
) -> Generator[StringCommand, None, None]:
    """
    Apply a release's pending migrations as the service user: hostwright's own way, or by the app's command.

    Given `files`, the database's ledger says what is pending, and where nothing is, nothing runs. Without
    `command`, each pending file runs in one transaction together with its row of the ledger, by psql. With
    `command`, that applies them; it must apply only what is pending, since after an interrupted run it is
    started again. Once a release is the current one its migrations have run, so there is nothing to ask.

    It runs in the unit `hostwright-migrate-<app>`, which a lost connection does not end: the next run waits
    for it before it starts its own, so that two never run at a time. Its output is in the journal too.

    + app_dir: the app's directory, such as "/opt/rec_io"; its last part names the unit
    + release: name of the release, already unpacked
    + command: the app's own, words, the first is absolute; default none
    + user: service user
    + env_file: the app's environment file, read by systemd for `command`, so that no secret is in an argument
    + variables: what `command` gets over that, as `secrets.env_file` takes them: the role that may make
      tables, and its password; in a file of root's below /run while the command runs; default none
    + secrets_directory: where those secrets are on the host; needed with `variables`
    + directory: where the files are in the release, such as "migrations"
    + files: the release's migrations, from `migration_files.read`; default none, `command` is always asked
    + database: where they go; needed with `files`
    + role: the database's owner, who runs them; needed with `files` and no command
    + password_file: file on the host with the role's password; needed with `files` and no command
    + cluster: "VERSION/NAME", default the host's only one
    + lock_seconds: how long a statement may wait for a lock each of 6 times, default 5; not for `command`
    + dump_to: directory on the host to dump the database into before anything is applied, where it has had a
      migration before; a function is called when the dump is due (and in the plan); default none, no dump
    + wait: seconds that an earlier run's migration may still take, default 900; after that this one fails

    Raises OperationError for arguments that do not fit together, for an applied file that was changed, and
    for one that is numbered before an applied one. A migration that fails, or a dump that has no room, fails
    the operation with what was said; what was applied before it in the same run stays.

    Example:

        migrations.applied(
            name="Apply pending migrations of shop", app_dir="/opt/shop", release="3f9c2a71", user="shop",
            directory="migrations", files=migration_files.read(Path("shop"), "migrations"),
            database="shop", role="shop", password_file="/etc/shop/secrets/db_password",
        )
    """
    _check(app_dir, wait, lock_seconds, cluster)
    _check_command(command, env_file, files)
    if variables and command is not None and secrets_directory is None:
        raise OperationError(f"{WHERE}: variables are given without secrets_directory; name it")
    _check_files(files, command, directory=directory, database=database, role=role, password=password_file)
    if host.get_fact(Releases, app_dir=app_dir)["current"] == release:
        host.noop(f"release {release} is the current one; its migrations have run")
        return
    root = f"{app_dir}/releases/{release}"
    unit = f"hostwright-migrate-{posixpath.basename(app_dir)}.service"
    if files is not None and database is not None:
        ledger = host.get_fact(Migrations, database=database, cluster=cluster)
        try:
            todo = schema.pending(files, ledger, own=command is None)
        except schema.SchemaError as problem:
            raise OperationError(str(problem)) from None
        if not todo:
            host.noop(f"database {database} has had all {len(files)} migrations of release {release}")
            return
        differs(f"migrations of {database}", expected="none pending", found=f"pending: {', '.join(todo)}")
        if not host.state.is_executing:
            # In the plan, and so with --dry too.
            app = posixpath.basename(app_dir)
            logger.info(f"{host.print_prefix}pending migrations of {app}: {', '.join(todo)}")
        if dump_to is not None and ledger:
            target = dump_to() if callable(dump_to) else dump_to
            if PATH.fullmatch(target) is None:
                raise OperationError(f"{WHERE}: dump_to {target!r} is not usable; write an absolute path")
            yield at.program("migrations-dump.sh", database, target, need=at.UP, cluster=cluster)
    if command is not None:
        if files is None:
            differs(app_dir, expected=f"the migrations of release {release}", found="not known to have run")
        yield from by_command(
            unit, command, user=user, env_file=env_file, root=root, wait=wait,
            variables=variables, secrets_directory=secrets_directory,
        )  # fmt: skip
    elif files is not None and database is not None and role is not None and password_file is not None:
        yield at.program(
            "migrations-run.sh", unit, user, "", root, wait, "@program", text("migrations-apply.py"),
            password_file, need=at.UP, cluster=cluster,
            stdin=specification(f"{root}/{directory}", files, database, role, lock_seconds),
        )  # fmt: skip


def by_command(
    unit: str,
    command: Sequence[str],
    *,
    user: str,
    env_file: str | None,
    root: str,
    wait: int,
    variables: Sequence[Variable],
    secrets_directory: str | None,
) -> Generator[StringCommand, None, None]:
    """Run an app's own command for its migrations, with variables over its environment for this once."""
    over: list[str] = []
    if variables:
        over = ["@over", f"/run/{unit.removesuffix('.service')}.env"]
        words = json.dumps(list(variables))
        yield script(
            "secrets-env.py", "write", over[1], "root", "root", "0600", secrets_directory or "", words
        )
    yield script("migrations-run.sh", unit, user, env_file or "", root, wait, *over, *command)


def specification(
    directory: str, files: Sequence[schema.File], database: str, role: str, lock_seconds: int
) -> str:
    """Write what migrations-apply.py reads: the files as they were checked here, and where they go."""
    return json.dumps({
        "directory": directory, "host": "127.0.0.1", "database": database, "role": role,
        "lock_seconds": lock_seconds, "tries": TRIES, "files": list(files),
    })  # fmt: skip


def _check(app_dir: str, wait: int, lock_seconds: int, cluster: str | None) -> None:
    _check_path("app_dir", app_dir)
    check_cluster(WHERE, cluster)
    if lock_seconds < 1:
        raise OperationError(f"{WHERE}: lock_seconds is {lock_seconds}; write seconds, 1 or more")
    if wait < 0:
        raise OperationError(f"{WHERE}: wait is {wait}; write seconds, 0 or more")


def _check_path(what: str, path: str) -> None:
    if PATH.fullmatch(path) is None:
        raise OperationError(f"{WHERE}: {what} {path!r} is not usable; write an absolute path like /opt/shop")


def _check_command(
    command: Sequence[str] | None, env_file: str | None, files: Sequence[schema.File] | None
) -> None:
    if command is None and files is None:
        raise OperationError(f"{WHERE}: there is neither a command nor files; give it one of them")
    if command is not None and (not command or not command[0].startswith("/")):
        raise OperationError(f"{WHERE}: command {command!r} must begin with an absolute path")
    if command is not None and env_file is None:
        raise OperationError(f"{WHERE}: command {command!r} has no env_file; name the app's environment file")
    if env_file is not None:
        _check_path("env_file", env_file)


def _check_files(
    files: Sequence[schema.File] | None,
    command: Sequence[str] | None,
    *,
    directory: str | None,
    database: str | None,
    role: str | None,
    password: str | None,
) -> None:
    if files is None:
        return
    if database is None:
        raise OperationError(f"{WHERE}: files are given without database; name the one that they go to")
    check_name(WHERE, "database", database)
    if command is not None:
        return
    if directory is None or role is None or password is None:
        raise OperationError(
            f"{WHERE}: files are given without directory, role or password_file; give all three, or a command"
        )
    if INNER.fullmatch(directory) is None:
        raise OperationError(f"{WHERE}: directory {directory!r} is not usable; write it like migrations")
    check_name(WHERE, "role", role)
    _check_path("password_file", password)
