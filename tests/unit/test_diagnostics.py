"""Diagnoses as they are kept and shown: the published form, what is to be looked at, hostile hosts."""

from __future__ import annotations

import json
import stat
from pathlib import Path
from typing import Any

import pytest

from diagnostics import DiagnosticsError, screen, store
from diagnostics.concerns import concerns
from diagnostics.model import read, schema
from diagnostics.tables import Columns, rendered
from diagnostics.words import duration, size
from settings import load
from tasks import diagnose
from tests.unit.diagnoses import made, plain

DOCS = Path(__file__).parents[2] / "docs"


@pytest.fixture(autouse=True)
def own_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOSTWRIGHT_DIAGNOSTICS", str(tmp_path / "kept"))


def test_the_published_schema_is_the_one_that_is_used() -> None:
    published = json.loads((DOCS / "diagnostics.schema.json").read_text(encoding="utf-8"))
    assert published == schema(), "python -m diagnostics schema > docs/diagnostics.schema.json"
    assert published["properties"]["format"]["const"] == 1


def test_what_nobody_knows_and_what_is_missing_is_an_error() -> None:
    with pytest.raises(DiagnosticsError, match=r"app-1: argv: Extra inputs"):
        read({**plain(), "argv": "secret"}, "app-1")
    without = plain()
    del without["apps"]["rec_io"]["services"]["main_app"]["state"]
    with pytest.raises(DiagnosticsError, match=r"apps.rec_io.services.main_app.state: Field required"):
        read(without, "app-1")
    with pytest.raises(DiagnosticsError, match=r"is of format 2, and this hostwright reads 1"):
        read({**plain(), "format": 2}, "app-1")


def test_it_is_kept_for_its_owner_alone_and_pruned() -> None:
    one = made()
    for number in range(store.KEPT + 3):
        file = store.save(one.model_copy(update={"id": f"20260101T0000{number:02d}Z-aaaaaa"}))
    kept = store.files(file.parent)
    assert len(kept) == store.KEPT
    assert kept[-1] == file
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    assert store.load(file).apps == one.apps
    older = store.last("staging", "app-1", file.stem)
    assert older is not None
    assert older.id == kept[-2].stem


def test_a_hosts_name_is_no_way_out_of_the_directory() -> None:
    assert store.directory("lab", "../../etc").parent == store.top() / "lab"
    assert store.directory("lab", "@ssh/a/b").parent == store.top() / "lab"


def test_what_is_broken_is_told_with_the_file() -> None:
    file = store.save(made())
    file.write_text("{", encoding="utf-8")
    with pytest.raises(DiagnosticsError, match=r"is not JSON; remove it"):
        store.load(file)
    assert store.last("staging", "app-1") is None


def test_a_sound_host_has_one_thing_to_look_at() -> None:
    assert [one.text for one in concerns(made())] == ["no backup of rec_io has been proven yet"]


def damage(found: dict[str, Any]) -> None:
    app, machine, server = found["apps"]["rec_io"], found["machine"], found["database"]
    app["services"]["main_app"]["state"] = "FATAL"
    app["services"]["trade_manager"]["log"]["errors"] = 7
    app["supervisor"]["findings"] = ["it runs as root"]
    app["backups"] |= {"newest": found["made"] - 100_000, "proof_failed": "row counts differ"}
    machine["filesystems"][0] |= {"used": 95, "free": 5, "size": 100}
    machine["failed_units"] = ["a.service"]
    machine["container"] = ""
    machine["certificates"] = [{"path": "/c.pem", "ends": found["made"] + 5 * 86400}]
    server |= {"used": 90, "oldest_transaction": 4000.0}
    found["updates"] |= {"security": 3, "lists_age": 400_000}
    found["problems"] = ["journal: it took too long"]


def test_everything_that_is_wrong_is_told() -> None:
    said = "\n".join(one.text for one in concerns(made(damage)))
    for words in (
        "rec_io/main_app is FATAL", "rec_io/trade_manager logged 7 errors in 1 min",
        "supervisor of rec_io: it runs as root", "the newest backup of rec_io is 1 d 3 h old",
        "the last proof of rec_io failed: row counts differ", "/ is 95 % full, 5 B are free",
        "unit a.service has failed", "its clock is kept by nobody", "/c.pem ends in 5 d",
        "90 of 100 database connections", "a transaction is open for 1 h 6 min",
        "3 security updates are pending", "package lists are 4 d 15 h old", "not known: journal",
    ):  # fmt: skip
        assert words in said


def test_one_screen() -> None:
    before = made(lambda found: found["apps"]["rec_io"]["logs"].update(bytes=1000), later=-3600)
    said = screen.shown(made(), before, "/kept/here.json", terminal=False)
    assert len(said.splitlines()) <= 48
    assert "\x1b" not in said
    assert "active_trade_supervisor         RUNNING" in said
    assert "KiB (+" in said
    drawn = screen.shown(made(), before, "/kept/here.json", terminal=True)
    assert "\x1b[" in drawn
    assert "─" in drawn


def test_nothing_that_a_host_says_is_markup_or_a_control_character() -> None:
    def hostile(found: dict[str, Any]) -> None:
        found["apps"]["rec_io"]["services"]["[bold]\x1b[2J"] = found["apps"]["rec_io"]["services"]["main_app"]
        found["machine"]["failed_units"] = ["[red]x[/red]"]

    for terminal in (True, False):
        said = screen.shown(made(hostile), None, "f", terminal=terminal)
        assert "[bold]?[2J" in said
        assert "unit [red]x[/red] has failed" in said
        assert "\x1b[2J" not in said


def test_columns_in_a_pipe() -> None:
    table = Columns(["name", ">n"])
    table.add("a", "1000")
    table.add("long", "2")
    assert rendered([table], terminal=False) == "  name     n\n  a     1000\n  long     2\n"


def test_numbers_for_people() -> None:
    assert [size(one) for one in (0, 1023, 1536, -(3 << 20))] == ["0 B", "1023 B", "1.5 KiB", "-3.0 MiB"]
    assert [duration(one) for one in (0, 61, 3600, 90000, -5)] == [
        "0 s",
        "1 min 1 s",
        "1 h",
        "1 d 1 h",
        "-5 s",
    ]


@pytest.mark.parametrize("given", ["0", "soon", "301", "nan", "-3"])
def test_no_time_to_sample(given: str) -> None:
    with pytest.raises(DiagnosticsError, match="write seconds from 1 to 300"):
        diagnose.sample_seconds(given)


def test_what_a_host_is_told_has_no_secret() -> None:
    data = {
        "environment": "lab",
        "apps": {"shop": {"source": "s", "services": {"web": {"command": "python -m web"}},
                          "process_manager": "systemd"}},
    }  # fmt: skip
    told = diagnose.spec(load(data, "test"), 3)
    assert told["apps"]["shop"] == {
        "config": None, "socket": None, "units": ["shop-web.service"], "root": "/opt/shop",
        "logs": "/opt/shop/shared/logs", "backups": None, "services": {"web": "shop-web.service"},
    }  # fmt: skip
