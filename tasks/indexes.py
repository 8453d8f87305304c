"""
The indexes of an app's database, beyond those that its migrations make.

Once the migrations have run, for they make the tables, and before the switch: the new release's first query
finds them, and one that cannot be made stops the deploy while the old release still serves, untouched. An
index is data: what was made stays when a deploy is undone.
"""

from __future__ import annotations

from pyinfra.api.deploy import deploy

from operations import postgres
from settings.app import App
from settings.service import DatabaseSettings
from tasks.origin import comes_from


@comes_from("apps.{app.key}.database.indexes")
@deploy("Indexes")
def make(app: App, cluster: str | None) -> None:
    """The declared indexes of one app's database."""
    if app.database is None or not app.database.indexes:
        return
    postgres.indexes(
        name=f"Make the declared indexes of {app.database.database}",
        indexes=declared(app.database),
        database=app.database.database,
        lock_seconds=app.migration_lock_seconds,
        cluster=cluster,
    )


def declared(database: DatabaseSettings) -> list[postgres.Index]:
    """Return the declared indexes as the operation takes them."""
    return [postgres.Index(**index.model_dump()) for index in database.indexes]
