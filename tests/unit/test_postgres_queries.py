"""What is shown of statements: never a value, and of what is no query nothing but its kind."""

from __future__ import annotations

from typing import Any

import pytest

from facts.postgres.queries import QueriesFields, Statement
from tasks import queries
from tests.unit.backup_program import load


@pytest.fixture(scope="module")
def program() -> Any:
    return load("postgres-queries.py")


@pytest.mark.parametrize(
    ("query", "shown"),
    [
        ("select *\n  from t where a = $1 -- s3cret", "select * from t where a = $1"),
        ("SELECT 's3cret', E'it\\'s s3cret', 'o''s3cret'", "SELECT ?, ?, ?"),
        ("SELECT $$s3cret$$, $a$s3cret$b$ s3cret$a$, U&'s3cret'", "SELECT ?, ?, ?"),
        ('SELECT "a \'b" FROM "t1" WHERE n1 = 4711 AND x IN (1.5, -2e9)',
         'SELECT "a \'b" FROM "t1" WHERE n1 = ? AND x IN (?, -?)'),
        ("SELECT /* s3cret */ 1", "SELECT ?"),
        ("SELECT 1 /* s3cret", "SELECT ?"),
        ("SELECT 'never closed s3cret", "SELECT ?"),
        ("SELECT $$never closed s3cret", "SELECT ?"),
        ("/* s3cret */ update t set a = 's3cret'", "update t set a = ?"),
        ("ALTER ROLE app PASSWORD 's3cret'", "ALTER ROLE …"),
        ("set app.token to s3cret", "SET APP …"),
        ("COPY t FROM PROGRAM 's3cret'", "COPY T …"),
        ("DO $$ begin perform 's3cret'; end $$", "DO …"),
        ("", "…"),
    ],
)  # fmt: skip
def test_no_value_is_left(program: Any, query: str, shown: str) -> None:
    assert program.without_values(query) == shown
    assert "s3cret" not in shown.lower()


def test_a_long_statement_is_cut(program: Any) -> None:
    found = program.without_values("select " + ", ".join(f"column_{n}" for n in range(100)))
    assert len(found) == program.SHOWN_CHARACTERS + 1


def found(**given: Any) -> QueriesFields:
    made: dict[str, Any] = {
        "statements": [], "since": 0.0, "tables": [], "unused": [], "invalid": [], "duplicate": [], **given,
    }  # fmt: skip
    return QueriesFields(**made)  # type: ignore[no-any-return,typeddict-item]  # as given


def test_lines() -> None:
    one = Statement(query="select a", role="app", calls=4, total_exec_time=8000.0, rows=12, hit=3, read=1)
    lines = queries.of_database("db", found(
        statements=[one],
        tables=[{"name": "public.t", "size": 2**24, "seq_scan": 3, "seq_tup_read": 99, "idx_scan": 1}],
        unused=[{"name": "public.i", "table_name": "t", "size": 2**20}],
        invalid=["public.broken"],
        duplicate=[{"names": ["a", "b"], "table_name": "t", "size": 2**20}],
    ))  # fmt: skip
    text = "\n".join(lines)
    assert "8.0    2000.00          4           12     75  select a" in text
    assert "public.t  16.0 MiB, 3 times, 99 rows read; by an index 1 times" in text
    assert "unused index public.i on t, 1.0 MiB" in text
    assert "b on t is a again, 1.0 MiB" in text
    assert "invalid index public.broken" in text


def test_says_why_there_is_nothing() -> None:
    assert "postgresql.statements = True" in "\n".join(queries.of_database("db", found(statements=None)))
    assert "no statement was counted yet" in "\n".join(queries.of_database("db", found()))
    assert queries.of_database("db", None)[0].startswith("db: is not there")
