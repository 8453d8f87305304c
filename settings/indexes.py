"""Settings of an app's indexes."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from settings.types import AsTuple, Line, Model, pattern

TableName = Annotated[
    str,
    pattern(
        r"([A-Za-z_][A-Za-z0-9_]*\.)?[A-Za-z_][A-Za-z0-9_]*",
        "is not the name of a table; write it like 'trades' or 'schema.trades'",
    ),
]
IndexName = Annotated[
    str, pattern(r"[A-Za-z_][A-Za-z0-9_]{0,62}", "is not the name of an index; use letters, digits and _")
]


class IndexSettings(Model):
    """
    One index that the app's database is to have, without a change of the app's code.

    + table: such as "trades", or "schema.trades"; default schema public
    + columns: as in CREATE INDEX, expressions too, such as "symbol", "created_at DESC", "lower(ticker)"
    + unique: default False
    + method: "btree" (default), "hash", "gin", "gist", "spgist" or "brin"
    + include: columns that it only carries, default none
    + where: condition of the rows that are in it, default all
    + name: default made from table and columns, such as "trades_symbol_idx"
    """

    table: TableName
    columns: Annotated[tuple[Line, ...], AsTuple, Field(min_length=1)]
    unique: bool = False
    method: Literal["btree", "hash", "gin", "gist", "spgist", "brin"] = "btree"
    include: Annotated[tuple[Line, ...], AsTuple] = ()
    where: Line | None = None
    name: IndexName | None = None
