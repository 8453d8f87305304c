"""Gates as they are declared: what follows from the rest, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from facts.script import text
from settings import Settings, SettingsError, load
from tasks.gates import spec as spec_of
from tests.unit.gates import (
    DATABASE,
    Gate,
)

# --- Settings ----------------------------------------------------------------------------------------------

WEB: Gate = {"command": "python -m shop.web", "port": 3000, "health": "/health", "page_contains": "Shop"}
APP: Gate = {
    "source": "shop",
    "services": {"web": WEB, "work": {"command": "python -m shop.work"}},
    "shared": ["logs", "data"],
    "secrets": {"db_password": {"source": "generated"}},
    "database": {"database": "shop_db", "role": "shop_role"},
    "produces": {"data": 60},
}


def loaded(**changes: Any) -> Settings:
    return load({"environment": "lab", "apps": {"shop": {**APP, **changes}}}, "inventories/lab.py")


def made(**changes: Any) -> dict[str, Any]:
    return spec_of(loaded(**changes).all_apps()[0], database_port=5433)


def test_what_follows_from_what_is_declared() -> None:
    spec = made()
    base = {"kind": "http", "service": "web", "seconds": 30}
    assert spec["gates"] == [
        {
            "kind": "running", "socket": "/run/shop/supervisor.sock", "programs": ["web", "work"],
            "stays": 3, "seconds": 30,
        },
        {**base, "url": "http://127.0.0.1:3000/health"},
        {**base, "url": "http://127.0.0.1:3000/", "contains": "Shop"},
        {"kind": "sql", "query": "SELECT 1", "returns": "1", "seconds": 30},
        {"kind": "file_age", "path": "/opt/shop/shared/data", "max_age": 60, "json": True, "seconds": 60},
    ]  # fmt: skip
    assert spec["database"] == {**DATABASE, "port": 5433, "password_file": "/etc/shop/secrets/db_password"}
    assert spec["logs"]["work"] == {
        "files": ["/opt/shop/shared/logs/work.err.log", "/opt/shop/shared/logs/work.log"]
    }


EACH: list[Gate] = [
    {"kind": "http", "path": "/signal", "status": 503, "json_has": {"status": "down"}},
    {"kind": "tcp"},
    {"kind": "sql", "query": "SELECT max(at) FROM ticks", "max_age": 60, "seconds": 9},
    {"kind": "file_age", "path": "data/*.json", "max_age": 60, "json_whole": True, "new": True},
    {"kind": "count", "path": "data", "what": "lines", "by": 3},
    {"kind": "log", "pattern": "ERROR"},
    {"kind": "command", "command": "python -m shop.check", "contains": "ok"},
    {"kind": "running", "stays": 5},
]


def test_each_kind_makes_a_spec_that_is_accepted(tmp_path: Path) -> None:
    spec = made(services={"web": {**WEB, "gates": EACH}, "work": {"command": "x"}})
    own = [
        {key: value for key, value in gate.items() if key != "service"}
        for gate in spec["gates"]
        if gate.get("service") == "web"
    ][2:]
    assert own == [
        {
            "kind": "http", "url": "http://127.0.0.1:3000/signal", "status": 503, "json": {"status": "down"},
            "seconds": 30,
        },
        {"kind": "tcp", "host": "127.0.0.1", "port": 3000, "seconds": 30},
        {"kind": "sql", "query": "SELECT max(at) FROM ticks", "max_age": 60, "seconds": 9},
        {
            "kind": "file_age", "path": "/opt/shop/shared/data/*.json", "max_age": 60, "json": True,
            "new": True, "seconds": 30,
        },
        {"kind": "count", "path": "/opt/shop/shared/data", "what": "lines", "by": 3, "seconds": 30},
        {"kind": "log", "pattern": "ERROR", "stays": 3, "files": spec["logs"]["web"]["files"], "seconds": 30},
        {
            "kind": "command", "command": ["/opt/shop/current/venv/bin/python", "-m", "shop.check"],
            "exit_code": 0, "contains": "ok", "seconds": 30,
        },
    ]  # fmt: skip
    assert [(one["programs"], one["stays"]) for one in spec["gates"] if one["kind"] == "running"] == [
        (["web"], 5),
        (["work"], 3),
    ]
    gates: dict[str, Any] = {"__name__": "parts"}
    exec(compile(text("gates.py"), "gates.py", "exec"), gates)
    gates["check_spec"](json.loads(json.dumps(spec)))


@pytest.mark.parametrize(
    ("gate", "said"),
    [
        ({"kind": "htpp"}, "kind 'htpp' is not a kind of gate; did you mean 'http'?"),
        ({}, "kind None is not a kind of gate; write one of running, http"),
        ({"kind": "http"}, "gates.0 (http): needs 'port', the port that it is asked on"),
        ({"kind": "http", "port": 1, "statsu": 1}, "there is no such setting; did you mean 'status'?"),
        ({"kind": "log", "pattern": "("}, "'(': is not a regular expression (missing ), "),
        ({"kind": "running", "stays": 3}, "belongs to a service; for all of them write 'gate_stays'"),
        ({"kind": "log", "pattern": "x", "stays": 30}, "stays 30 is not less than its 30 seconds"),
        ({"kind": "sql", "query": "x", "returns": "1", "max_age": 3}, "one query has one answer"),
        ({"kind": "count", "path": "/etc"}, "'/etc': is absolute; write it relative"),
        ({"kind": "command", "command": "bin/x"}, "write a program of the virtual environment, or"),
    ],
)  # fmt: skip
def test_gates_that_are_refused(gate: Gate, said: str) -> None:
    with pytest.raises(SettingsError) as caught:
        loaded(gates=[gate])
    assert said in str(caught.value)


def test_a_query_needs_a_database() -> None:
    with pytest.raises(SettingsError, match="the app has no 'database' to ask"):
        loaded(database=None, gates=[{"kind": "sql", "query": "SELECT 1"}])
