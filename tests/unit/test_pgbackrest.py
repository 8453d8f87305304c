"""Recovery to a moment, as far as it runs without a server."""

from __future__ import annotations

import json
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from pydantic import ValidationError
from pyinfra.api import OperationError

from facts.script import text
from operations import pgbackrest
from operations.pgbackrest_bucket import Bucket
from settings import PostgresqlSettings, Settings, SettingsError, load
from tasks import recovery, trial


def program(file: str) -> ModuleType:
    """Load a program of the host's as it travels: whole."""
    module = ModuleType(file)
    exec(compile(text(f"{file}.py"), f"{file}.py", "exec"), module.__dict__)
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


@pytest.mark.parametrize("word", ["to", "end", "lines", "stanza"])
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


S3 = {
    "endpoint": "s3.eu-central-1.amazonaws.com", "bucket": "shop-backups",
    **{
        key: {"source": "environment", "variable": f"STORE_{key.upper()}"}
        for key in ("access_key", "secret_key", "passphrase")
    },
}  # fmt: skip


def in_bucket(**values: Any) -> Settings:
    return declared({"s3": {**S3, **values}})


def test_bucket_is_in_the_configuration_and_its_secrets_are_not() -> None:
    bucket = Bucket("store.test", "shop", "/etc/pgbackrest/secrets", port=9000, path_style=True)
    told = json.loads(pgbackrest.declaration(pgbackrest.Recovery(bucket=bucket)))
    assert told["repository"] is None
    lines = told["files"][pgbackrest.CONFIG].splitlines()
    for line in (
        "repo1-type=s3", "repo1-s3-endpoint=store.test", "repo1-s3-bucket=shop", "repo1-storage-port=9000",
        "repo1-s3-region=us-east-1", "repo1-s3-uri-style=path", "repo1-cipher-type=aes-256-cbc",
        "repo1-cipher-pass=@SECRET /etc/pgbackrest/secrets/passphrase@",
    ):  # fmt: skip
        assert line in lines
    assert not [line for line in lines if "ca-file" in line]
    local = json.loads(pgbackrest.declaration(pgbackrest.Recovery()))
    assert local["repository"] == "/var/lib/pgbackrest"
    assert "s3" not in local["files"][pgbackrest.CONFIG]


@pytest.mark.parametrize(
    ("key", "value", "why"),
    [
        ("endpoint", "https://fra1.digitaloceanspaces.com", "write it without 'https://'"),
        ("endpoint", "a.b\nrepo1-path=/x", "is not a host's name"),
        ("bucket", "Shop", "is not a bucket's name"),
        ("region", "eu central", "is not a region's name"),
        ("port", 0, "greater than or equal to 1"),
        ("ca_file", "ca.pem", "is relative"),
        ("passphrase", {"source": "generated"}, "would be on the host alone"),
        ("secret_key", "AKIA", "is written in plain text in a tracked file"),
    ],
)
def test_bad_buckets_are_refused(key: str, value: object, why: str) -> None:
    with pytest.raises(ValidationError, match=why):
        in_bucket(**{key: value})


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("endpoint", "a b"),
        ("bucket", "A"),
        ("region", "x\ny"),
        ("secrets", "x"),
        ("ca_file", "x"),
        ("port", 0),
    ],
)
def test_bad_buckets_are_refused_by_the_operation(key: str, value: object) -> None:
    bucket = Bucket(**{"endpoint": "e", "bucket": "b", "secrets": "/s", key: value})  # type: ignore[arg-type]  # wrong on purpose
    with pytest.raises(OperationError, match=key):
        pgbackrest.declaration(pgbackrest.Recovery(bucket=bucket))


def test_secrets_of_the_bucket_come_from_this_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STORE_ACCESS_KEY", "one")
    monkeypatch.delenv("STORE_SECRET_KEY", raising=False)
    monkeypatch.setenv("STORE_PASSPHRASE", "three")
    with pytest.raises(
        SettingsError, match=r"postgresql\.recovery\.s3\.secret_key: .*STORE_SECRET_KEY is not"
    ):
        recovery.given(in_bucket(), tmp_path)
    monkeypatch.setenv("STORE_SECRET_KEY", "two")
    found = {key: value.get_secret_value() for key, value in recovery.given(in_bucket(), tmp_path).items()}
    assert found == {"access_key": "one", "secret_key": "two", "passphrase": "three"}
    assert recovery.given(declared({}), tmp_path) == {}
    assert recovery.given(declared({"enabled": False, "s3": S3}), tmp_path) == {}


def test_an_undo_keeps_the_secrets_of_the_bucket() -> None:
    sent = trial.touched(in_bucket(), "root").sent()
    assert f"{recovery.SECRETS}/*" in sent["files"][""]["kept"]


def test_secret_is_put_in_on_the_host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("CLUSTER_DATA", "CLUSTER_CONF", "PGPORT", "PGHOST"):
        monkeypatch.setenv(name, f"<{name}>")
    (tmp_path / "pass").write_text("a@b %1 \\1")
    text = f"port=@PORT@\nkey=@SECRET {tmp_path}/pass@\n"
    assert HOST.filled(text) == "port=<PGPORT>\nkey=a@b %1 \\1\n"
    about: dict[str, Any] = {
        "files": {"/etc/x.conf": text.replace("pass", "gone")},
        "timers": [],
        "repository": None,
    }
    made = HOST.Configured(about)
    assert made.differs() == [f"{tmp_path}/gone"]
    with pytest.raises(HOST.RefusedError, match="gone are not there; nothing was changed"):
        made.apply()


def test_server_of_another_version_is_not_recovered_here() -> None:
    RECOVER.same_version([{"version": "15"}], "15")
    RECOVER.same_version([], "15")
    with pytest.raises(RECOVER.RefusedError, match=r"of PostgreSQL 15, and this host runs 17"):
        RECOVER.same_version([{"version": "15"}], "17")
