"""What went wrong with the database, in one line."""

from __future__ import annotations

import psycopg


def why(problem: psycopg.Error) -> str:
    """Return in one line why a statement did not get through."""
    if isinstance(problem, psycopg.errors.UndefinedTable):
        return "the database schema is not there; apply the migrations"
    return (str(problem).strip().splitlines() or [type(problem).__name__])[0]
