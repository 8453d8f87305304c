"""Restores: what they need to know of the database is right, and none has left half a database behind."""

from __future__ import annotations

import pytest

from declared import DeclaredHost
from settings.app import App
from tests.acceptance.remote import Remote


@pytest.mark.only("database")
def test_time_columns_are_there(declared: DeclaredHost, app: App, remote: Remote) -> None:
    """Every declared time column is one: a restore at night is no time to find out."""
    assert app.database is not None
    if not app.database.time_columns:
        pytest.skip(f"{app.key} declares no time columns under database.time_columns")
    found = remote.sql(
        "SELECT coalesce(json_agg(table_schema || '.' || table_name || '.' || column_name), '[]') "
        "FROM information_schema.columns WHERE table_schema NOT IN ('pg_catalog', 'information_schema')",
        app.database.database,
    )
    wanted = {
        f"{table if '.' in table else f'public.{table}'}.{column}"
        for table, column in app.database.time_columns.items()
    }
    assert wanted - set(found) == set()


@pytest.mark.only("database")
def test_no_restore_was_left_unfinished(declared: DeclaredHost, app: App, remote: Remote) -> None:
    """No database is there that was to take the place of the app's own and did not; history.py shows them."""
    assert app.database is not None
    found = remote.sql("SELECT coalesce(json_agg(datname), '[]') FROM pg_database", "postgres")
    assert [name for name in found if name.startswith(f"{app.database.database}_restore_")] == []
