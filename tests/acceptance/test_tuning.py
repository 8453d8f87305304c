"""What makes the database quick: its indexes, its share of the memory, statistics of its statements."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from declared import DeclaredHost
from operations.postgres import memory
from settings import Settings
from settings.app import App
from tasks import indexes
from tests.acceptance.remote import Remote
from tests.acceptance.values import same

SERVER = Path(__file__).with_name("host") / "server.sql"


def test_memory_fits_the_host(declared: DeclaredHost, settings: Settings, remote: Remote) -> None:
    """shared_buffers and its like are what the host's RAM, or the declared size, comes to."""
    given = settings.postgresql.memory
    if given is None:
        pytest.skip("postgresql.memory is None: nothing is computed")
    kilobytes = re.search(r"MemTotal: +(\d+) kB", remote.run("cat", "/proc/meminfo").stdout)
    assert kilobytes is not None
    ram = memory.nominal(int(kilobytes[1])) if given == "auto" else memory.megabytes(given)
    wanted = memory.with_memory(settings.postgresql.effective(), ram)
    found = remote.sql(SERVER.read_text(encoding="utf-8"), "postgres", list(memory.NAMES))["settings"]
    assert {
        name: found[name]["setting"] for name in memory.NAMES if not same(wanted[name], found[name])
    } == {}


@pytest.mark.only("database")
def test_indexes_are_there(declared: DeclaredHost, app: App, remote: Remote) -> None:
    """Every declared index is there, of its kind and usable, and none is left half made."""
    assert app.database is not None
    found = remote.sql(
        "SELECT coalesce(json_object_agg(i.indexrelid::regclass::text, json_build_array("
        "i.indrelid::regclass::text, i.indisunique, a.amname, i.indisvalid)), '{}') FROM pg_index i "
        "JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_am a ON a.oid = c.relam",
        app.database.database,
    )
    shown = {name.removeprefix("public.").replace('"', ""): about for name, about in found.items()}
    wanted = {
        ".".join([*index.table.split(".")[:-1], index.label]).removeprefix("public."): [
            index.table.removeprefix("public."), index.unique, index.method, True,
        ]
        for index in indexes.declared(app.database)
    }  # fmt: skip
    assert {name: shown.get(name) for name in wanted} == wanted
    assert [name for name, about in shown.items() if about[-1] is False] == []


@pytest.mark.only("database")
def test_statements_are_counted(declared: DeclaredHost, app: App, settings: Settings, remote: Remote) -> None:
    """The app's own statements are in pg_stat_statements, which queries.py reads."""
    assert app.database is not None
    if not settings.postgresql.statements:
        pytest.skip("postgresql.statements is False: nothing is counted")
    counted = remote.sql(
        "SELECT count(*) FROM public.pg_stat_statements s JOIN pg_roles r ON r.oid = s.userid "
        "JOIN pg_database d ON d.oid = s.dbid WHERE d.datname = current_database() AND r.rolname = :'about'"
        "::json #>> '{}'",
        app.database.database,
        app.database.role,
    )
    assert counted > 0
