"""Bring a restored database to the schema of the app's current release, before it takes over."""

from __future__ import annotations

from collections.abc import Generator, Sequence

from pyinfra import host
from pyinfra.api import OperationError, StringCommand, operation

from facts.migrations import Migrations
from facts.postgres import cluster as at
from facts.release import Releases
from facts.restore import MigrationTexts
from facts.script import text
from operations import migration_files, migrations, schema
from operations.secrets import Variable
from operations.told import told

WHERE = "restore"


@operation(is_idempotent=False)
def applied(
    app: str,
    *,
    app_dir: str,
    directory: str,
    database: str,
    fresh: str,
    role: str,
    password_file: str,
    user: str,
    command: Sequence[str] | None = None,
    variables: Sequence[Variable] = (),
    secrets_directory: str | None = None,
    named_by: Sequence[str] = (),
    env_file: str | None = None,
    lock_seconds: int = migrations.LOCK_SECONDS,
    cluster: str | None = None,
) -> Generator[StringCommand, None, None]:
    """
    Apply to a fresh database what the app's current release has and it has not, before it takes over.

    Not idempotent: it is asked of a database of this run. The role is let in to it for as long as that takes.

    + app: name of the app, for messages
    + app_dir: its directory, such as "/opt/shop"
    + directory: of the migrations, in a release
    + database: the live one
    + fresh: the one that they go to
    + role: who runs them, the owner
    + password_file: file on the host with the role's password
    + user: service user
    + command: the app's own, words, default none: hostwright applies them
    + variables: what `command` gets over the app's environment, as for `migrations.applied`
    + secrets_directory: where the secrets of `variables` are on the host
    + named_by: variables of the app's environment that name the database, for `command`
    + env_file: the app's environment file, for `command`
    + lock_seconds: as for `migrations.applied`
    + cluster: "VERSION/NAME", default the host's only one

    Raises OperationError where the release cannot live with the database, with the way out.

    Example: see tasks/restore.py
    """
    state = host.get_fact(Releases, app_dir=app_dir)
    current = state["current"]
    if current is None:
        raise OperationError(f"{WHERE}: {app} has no release on this host; run deploy.py first")
    root = f"{app_dir}/releases/{current}"
    ledger = host.get_fact(Migrations, database=fresh, cluster=cluster)
    stated = {
        name: one["about"]["schema"] if one["about"] else None for name, one in state["releases"].items()
    }
    beyond = schema.can_live_with(
        stated.get(current), [row["name"] for row in ledger], schema.breaking(stated.values())
    )
    if beyond:
        raise OperationError(cannot_live(app, current, beyond))
    files = read_texts(host.get_fact(MigrationTexts, directory=f"{root}/{directory}"), own=command is None)
    try:
        todo = schema.pending(files, ledger, own=command is None)
    except schema.SchemaError as problem:
        raise OperationError(
            f"{problem}; or deploy the release that this backup is of, and restore then"
        ) from None
    if not todo:
        host.noop(f"{fresh} has had all {len(files)} migrations of release {current}")
        return
    unit = f"hostwright-migrate-{app}.service"
    words = ["migrations-run.sh", unit, user]
    yield at.program("restore-hba.py", "admit", fresh, role, need=at.UP, cluster=cluster)
    if command is None:
        yield told(at.program(
            *words, "", root, migrations.EARLIER_SECONDS, "@program", text("migrations-apply.py"),
            password_file, need=at.UP, cluster=cluster,
            stdin=migrations.specification(f"{root}/{directory}", files, fresh, role, lock_seconds),
        ))  # fmt: skip
    else:
        if not named_by:
            raise OperationError(
                f"{WHERE}: {app} has pending migrations and a command of its own for them, and no variable "
                f"with the value {database!r} to tell it another database by; "
                "deploy the release of that backup first"
            )
        given = {one[0]: one for one in variables} | {name: (name, "text", fresh) for name in named_by}
        *before, last = migrations.by_command(
            unit, command, user=user, env_file=env_file, root=root, wait=migrations.EARLIER_SECONDS,
            variables=list(given.values()), secrets_directory=secrets_directory,
        )  # fmt: skip
        yield from before
        yield told(last)
    yield at.program("restore-hba.py", "dismiss", fresh, role, need=at.UP, cluster=cluster)


def cannot_live(app: str, release: str, names: Sequence[str]) -> str:
    """Say why a release cannot take a restored database, and what to do instead."""
    return (
        f"{WHERE}: release {release} of {app} cannot live with this backup: it has had {', '.join(names)}, "
        "which breaks earlier releases; deploy the release that it is of, or a later one, and restore then"
    )


def read_texts(texts: dict[str, str], *, own: bool) -> list[schema.File]:
    """Read migrations that came from a host; its release was checked before it was deployed."""
    found = [
        migration_files.file_of(name, content.encode("utf-8", "surrogateescape"), own=own)
        for name, content in sorted(texts.items())
    ]
    wrong = [problem for _, problems in found for problem in problems]
    if wrong:
        raise OperationError(f"{WHERE}: the release's migrations cannot be read: {wrong[0]}; deploy again")
    return [made for made, _ in found]
