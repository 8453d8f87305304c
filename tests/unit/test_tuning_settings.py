"""Settings of indexes, memory and pools: what is refused, with the value and the remedy."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from settings.pool import PoolSettings
from settings.postgresql import PostgresqlSettings
from settings.service import DatabaseSettings
from tasks import indexes

DATABASE: dict[str, Any] = {"database": "shop_db", "role": "shop_role"}


def database(**given: Any) -> DatabaseSettings:
    return DatabaseSettings(**{**DATABASE, **given})


@pytest.mark.parametrize(
    ("index", "words"),
    [
        ({"table": "t; drop table t", "columns": ["a"]}, "is not the name of a table"),
        ({"table": "t", "columns": []}, "at least 1 item"),
        ({"table": "t", "columns": ["a"], "method": "bitmap"}, "'btree', 'hash', 'gin'"),
        ({"table": "t", "columns": ["a"], "name": "a-b"}, "is not the name of an index"),
        ({"table": "t", "columns": ["a\nb"]}, "line break"),
        ({"table": "t", "column": ["a"]}, "Extra inputs"),
    ],
)
def test_indexes_are_checked(index: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        database(indexes=[index])


def test_indexes_get_names_as_postgresql_gives_them() -> None:
    made = indexes.declared(database(indexes=[
        {"table": "trades", "columns": ["ticker", "created_at DESC"]},
        {"table": "app.trades", "columns": ["lower(ticker)"], "unique": True, "where": "open"},
        {"table": "t" * 40, "columns": ["c" * 60]},
    ]))  # fmt: skip
    assert [one.label for one in made[:2]] == ["trades_ticker_created_at_desc_idx", "trades_lower_ticker_idx"]
    assert len(made[2].label) == 63
    assert made[1].create == (
        'CREATE UNIQUE INDEX CONCURRENTLY "trades_lower_ticker_idx" ON "app"."trades"'
        " USING btree (lower(ticker)) WHERE (open)"
    )


def test_statements_are_counted_beside_other_libraries() -> None:
    assert PostgresqlSettings().effective()["shared_preload_libraries"] == "pg_stat_statements"
    both = PostgresqlSettings(settings={"shared_preload_libraries": "auto_explain,pg_stat_statements"})
    assert both.effective()["shared_preload_libraries"] == "auto_explain, pg_stat_statements"
    off = PostgresqlSettings(statements=False)
    assert ("shared_preload_libraries" in off.effective(), off.extensions()) == (False, [])


@pytest.mark.parametrize("memory", ["2GB", "much", "", 2])
def test_memory_is_a_size(memory: Any) -> None:
    with pytest.raises(ValidationError, match=r"memory"):
        PostgresqlSettings(memory=memory)


def test_a_pool_leaves_room_for_gates_and_migrations() -> None:
    with pytest.raises(ValidationError, match="leaves nothing beside the 40 connections of the pool"):
        database(connection_limit=40, pool=PoolSettings(size=40))
    assert database(connection_limit=41, pool=PoolSettings(size=40)).pool is not None
    assert database(connection_limit=-1, pool=PoolSettings(size=40)).pool is not None
    with pytest.raises(ValidationError, match="'session' or 'transaction'"):
        PoolSettings(mode="statement")  # type: ignore[arg-type]  # that is the point
