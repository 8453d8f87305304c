"""Recovery to a moment, as far as it runs without a server."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from types import ModuleType

import pytest
from pydantic import ValidationError
from pyinfra.api import OperationError

from facts.script import HOST_PROGRAMS
from operations import pgbackrest
from settings import PostgresqlSettings, Settings, load
from tasks import recovery, trial


def program(file: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(file.replace("-", "_"), HOST_PROGRAMS / f"{file}.py")
    if spec is None or spec.loader is None:
        raise FileNotFoundError(file)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


HOST, RECOVER = program("pgbackrest-host"), program("pgbackrest-recover")


def declared(recovery_: object) -> Settings:
    return Settings.model_validate({"environment": "lab", "postgresql": {"recovery": recovery_}})


def test_it_costs_nothing_where_it_is_not_declared() -> None:
    settings = declared(None)
    assert recovery.packages(settings) == []
    assert recovery.declared(settings) is None
    assert "archive_mode" not in settings.postgresql.effective()
    assert "pgbackrest" not in json.dumps(trial.touched(settings, "root").sent())


def test_it_is_declared_in_the_server_the_packages_and_the_undo() -> None:
    settings = declared({"queue": "4G"})
    assert recovery.packages(settings) == ["pgbackrest"]
    assert settings.postgresql.effective()["archive_mode"] == "on"
    assert "--stanza=main archive-push" in str(settings.postgresql.effective()["archive_command"])
    sent = trial.touched(settings, "root").sent()
    assert set(pgbackrest.FILES) <= set(sent["files"][""]["owned"])
    assert set(pgbackrest.TIMERS) <= set(sent["units"])


def test_switched_off_the_server_archives_nothing_and_an_undo_knows_the_files() -> None:
    settings = declared({"enabled": False})
    assert "archive_mode" not in settings.postgresql.effective()
    assert recovery.packages(settings) == []
    assert pgbackrest.CONFIG in trial.touched(settings, "root").sent()["files"][""]["owned"]


@pytest.mark.parametrize("word", ["to", "end", "lines"])
def test_words_of_one_run_are_no_settings(word: str) -> None:
    assert load({"environment": "lab", word: "1"}, "x") == load({"environment": "lab"}, "x")


def test_archiving_is_declared_once() -> None:
    with pytest.raises(ValidationError, match=r"'archive_mode' is set by postgresql\.recovery"):
        PostgresqlSettings.model_validate({"settings": {"archive_mode": "on"}, "recovery": {}})


@pytest.mark.parametrize(
    ("key", "value"),
    [("full", "Sunday"), ("incremental", "25:00"), ("queue", "1"), ("stanza", "a b"), ("keep_full", 0)],
)
def test_bad_values_are_refused(key: str, value: object) -> None:
    with pytest.raises(ValidationError, match=key):
        declared({key: value})
    with pytest.raises(OperationError, match=key):
        pgbackrest.declaration(pgbackrest.Recovery(**{key: value}))  # type: ignore[arg-type]  # wrong on purpose


def test_declaration_has_all_that_is_declared() -> None:
    one = pgbackrest.Recovery(full="Sat 03:15", keep_full=5, queue="7G", repository="/srv/repo", stanza="x")
    files = json.loads(pgbackrest.declaration(one))["files"]
    assert list(files) == pgbackrest.FILES
    config = files[pgbackrest.CONFIG]
    for line in ("repo1-path=/srv/repo", "repo1-retention-full=5", "archive-push-queue-max=7GB", "[x]"):
        assert f"{line}\n" in config
    assert "OnCalendar=Sat *-*-* 03:15:00\n" in files["/etc/systemd/system/hostwright-recovery-full.timer"]
    assert (
        "PartOf=hostwright-recovery-full.timer\n"
        in files["/etc/systemd/system/hostwright-recovery-full.service"]
    )
    assert "--stanza=x --type=incr " in files["/etc/systemd/system/hostwright-recovery-incremental.service"]


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("2026-01-31 12:00:00+00:00", "2026-01-31 12:00:00+00:00"),
        ("2026-01-31T12:00:00Z", "2026-01-31 12:00:00+00:00"),
        ("2026-01-31 12:00:00.5+02", "2026-01-31 12:00:00.500000+02:00"),
    ],
)
def test_moment(given: str, meant: str) -> None:
    assert pgbackrest.moment(given) == meant


@pytest.mark.parametrize(
    ("given", "why"), [("noon", "is not a moment"), ("2026-01-31 12:00", "does not say in which time zone")]
)
def test_what_is_no_moment(given: str, why: str) -> None:
    with pytest.raises(OperationError, match=why):
        pgbackrest.moment(given)


def test_window_begins_with_the_oldest_whole_backup() -> None:
    backups = [
        {"timestamp": {"stop": stop}, "error": bad} for stop, bad in ((50, True), (100, False), (200, None))
    ]
    assert RECOVER.window(backups, 300, None) == (100, 300)
    assert RECOVER.window(backups, 300, 250) == (100, 250)
    with pytest.raises(RECOVER.RefusedError, match="there is no backup yet"):
        RECOVER.window([], 300, None)
    RECOVER.within("1970-01-01 00:02:00+00:00", 100, 300)
    for outside in ("1970-01-01 00:01:00+00:00", "1970-01-01 00:06:00+00:00"):
        with pytest.raises(RECOVER.RefusedError, match="from 1970-01-01 00:01:40"):
            RECOVER.within(outside, 100, 300)


def test_stanza_of_another_cluster_is_refused() -> None:
    of = [{"system-id": 7, "version": "15"}]
    assert not HOST.has_stanza([], 7, "15")
    assert HOST.has_stanza(of, 7, "15")
    for system, version in ((8, "15"), (8, "17")):
        with pytest.raises(HOST.RefusedError, match="another cluster"):
            HOST.has_stanza(of, system, version)


def test_missing_segments() -> None:
    def name(log: int, part: int) -> str:
        return f"00000001{log:08X}{part:08X}-0123.zst"

    since = name(0, 254)[:24]
    whole = [name(0, 253), name(0, 254), name(0, 255), name(1, 0), "00000002.history", name(1, 1)]
    whole.append(f"{name(1, 2)[:24]}.00000028.backup")
    server = {"size": 2**24, "current": name(1, 2)[:24], "ready": []}
    assert HOST.missing(whole, since, server) == 0
    assert HOST.missing([one for one in whole if one != name(1, 0)], since, server) == 1
    assert HOST.missing([], since, server) == 4
    later = {**server, "current": name(1, 4)[:24], "ready": [f"{name(1, 3)[:24]}.ready"]}
    assert HOST.missing(whole, since, later) == 1


def test_command_line_wins_over_what_came_along() -> None:
    found = RECOVER.options(Path("/r"), 5433)
    assert (found["archive_mode"], found["listen_addresses"]) == ("off", "")
    assert found["unix_socket_directories"] == "/r"
