"""compare.py: where settings and facts differ, what is shown of it, and how it ends."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

import asking
from asking import Answer
from comparison import knobs, report, survey, words
from comparison.masking import MASKED, shown
from comparison.rows import ABSENT, differences
from comparison.sides import Pair, Side, paired
from comparison.survey import Surveyed
from declared import PROJECT, DeclaredHost
from facts import script
from settings import files, load

STAGING, DO = "inventories/staging.py", "inventories/do.py"
SHOP = {
    "source": "shop",
    "services": {"web": {"command": ["python", "-m", "shop", "--token", "t0ps3cret"], "port": 3000}},
    "secrets": {"db_password": {"source": "generated"}, "key": {"source": "environment", "variable": "KEY"}},
    "variables": {"SHOP_MODE": "demo", "SHOP_PASSWORD": {"secret": "db_password"}},
    "config_files": {"local.json": '{"hidden": "0ther"}\n'},
}


def host(environment: str, name: str, groups: tuple[str, ...] = (), **data: Any) -> DeclaredHost:
    """Make a host as pyinfra's JSON tells it."""
    whole = {"environment": environment, **data}
    return DeclaredHost(name, whole, load(whole, name), ("hosts", *groups, environment))


def sides(left: list[DeclaredHost], right: list[DeclaredHost]) -> tuple[Side, Side]:
    return Side(STAGING, left), Side(DO, right)


def found(left: list[DeclaredHost], right: list[DeclaredHost]) -> dict[str, Any]:
    """Return what programs are told of two sides, whose hosts are not asked."""
    return report.as_json(report.made(*sides(left, right), None))


def said(one: report.Report, *, width: int = 80, terminal: bool = False) -> str:
    out = io.StringIO()
    words.show(one, Console(file=out, width=width, force_terminal=terminal, color_system=None))
    return out.getvalue()


def test_tables_are_gone_into_and_all_else_is_a_value() -> None:
    one = {"a": {"b": 1, "c": [1, 2]}, "d": None, "e": {}, "f": {"secret": "x"}, "same": {"deep": {"er": 1}}}
    two = {
        "a": {"b": 2, "c": [2, 1]},
        "e": {},
        "f": {"secret": "y"},
        "same": {"deep": {"er": 1}},
        "g": {"h": 1},
    }
    where = differences([one, two])
    assert where.different == {
        ("a", "b"): [1, 2],
        ("a", "c"): [[1, 2], [2, 1]],
        ("d",): [None, ABSENT],
        ("f",): [{"secret": "x"}, {"secret": "y"}],
        ("g",): [ABSENT, {"h": 1}],
    }
    # An empty table has nothing to be the same.
    assert where.same == 1
    # A table in the place of None is one difference.
    assert differences([{"s": None}, {"s": {"x": 1, "y": 2}}]).different == {("s",): [None, {"x": 1, "y": 2}]}
    assert differences([one, one, one]).different == {}


@pytest.mark.parametrize(
    ("path", "value", "told"),
    [
        ("apps.a.variables.A_MODE", "demo", "demo"),
        ("apps.a.variables.A_PASSWORD", {"secret": "db"}, {"secret": "db"}),
        ("apps.a.services.w.variables.A_TOKEN", "abc", MASKED),
        ("apps.a.secret_files.f.content.apiKey", "abc", MASKED),
        ("apps.a.secret_files.f.content.password.inner", "abc", MASKED),
        ("apps.a.secret_files.f.content", {"u": "me", "pwd": "abc"}, {"u": "me", "pwd": MASKED}),
        ("apps.a.secret_files.f.content.list", [{"pwd": "abc"}, 1], [{"pwd": MASKED}, 1]),
        ("apps.a.config_files.f", "abc", f"{MASKED} (3 characters)"),
        ("apps.a.config_files", {"f": "abc"}, {"f": f"{MASKED} (3 characters)"}),
        ("apps.a.secrets.db_password.length", 40, 40),
        ("apps.a.secrets.db_password", {"source": "age", "file": "f"}, {"source": "age", "file": "f"}),
        ("apps.a.database.password", "db_password", "db_password"),
        ("postgresql.recovery.s3.secret_key.source", "age", "age"),
        ("postgresql.settings.primary_conninfo", "host=x password=abc", MASKED),
        ("postgresql.settings.ssl_passphrase_command", "echo abc", MASKED),
        ("postgresql.settings.archive_command", "put --password abc %p", f"put --password {MASKED} %p"),
        ("apps.a.migrate", ["x", "--api-key", "abc", "y"], ["x", "--api-key", MASKED, "y"]),
        ("apps.a.migrate", "x token='a b c' y", f"x token={MASKED} y"),
        ("a.address", "postgres://me:abc@db/x", f"postgres://me:{MASKED}@db/x"),
        ("apps.a.variables.A_TOKEN", None, None),
        ("swap", None, None),
    ],
)
def test_what_is_shown_of_a_value(path: str, value: Any, told: Any) -> None:
    assert shown(path.split("."), value) == told


def test_settings_that_differ_and_who_declares_them(tmp_path: Path) -> None:
    files.declared.cache_clear()
    (tmp_path / "group_data").mkdir()
    everywhere: dict[str, Any] = {
        "upgrade": True,
        "swap": {"size": "2G"},
        "packages": ["htop"],
        "apps": {"shop": SHOP},
    }
    web: dict[str, Any] = {"packages": ["htop", "tree"]}
    web["install_recommends"], late = False, {"install_recommends": True}  # the later group wins
    more: dict[str, Any] = {
        "receipt_hours": 5,
        "overrides": {"swap": {"size": "4G"}, "postgresql": {"memory": None}},
    }
    for name, table in (("all", everywhere), ("web", web), ("late", late), ("do", more)):
        text = "".join(f"{key} = {value!r}\n" for key, value in table.items())
        (tmp_path / "group_data" / f"{name}.py").write_text(text)
    left = host("staging", "s1", **everywhere)
    right = host(
        "do", "d1", ("web", "late"), **{**everywhere, **web, **late, **more}, ssh={"key_only": False}
    )
    rows, same = knobs.compared(Pair("", [left], [right]), tmp_path)
    both = {row.name: (row.left["s1"], row.right["d1"]) for row in rows}
    assert {name: [(one.value, one.source) for one in cells] for name, cells in both.items()} == {
        "packages": [(["htop"], "group_data/all.py"), (["htop", "tree"], "group_data/web.py")],
        "install_recommends": [(False, "default"), (True, "group_data/late.py")],
        "receipt_hours": [(72, "default"), (5, "group_data/do.py")],
        "ssh.key_only": [(True, "default"), (False, "the host's own data")],
        "swap.size": [("2G", "group_data/all.py"), ("4G", "group_data/do.py, overrides")],
        "postgresql.memory": [("auto", "default"), (None, "group_data/do.py, overrides")],
    }  # fmt: skip
    assert same > 50


def test_none_is_not_a_key_that_is_missing() -> None:
    """swap None is said; what it would have is not there."""
    rows = found([host("staging", "s1", swap=None)], [host("do", "d1")])["settings"]
    assert [(row["path"], row["left"]["s1"]["value"]) for row in rows] == [(["swap"], None)]
    assert rows[0]["right"]["d1"]["value"]["size"] == "2G"
    rows = found([host("staging", "s1")], [host("do", "d1", apps={"shop": SHOP})])["settings"]
    assert [row["path"] for row in rows] == [["apps", "shop"]]
    assert "value" not in rows[0]["left"]["s1"]


def test_no_secret_is_shown_of_an_app_that_one_side_has() -> None:
    one = report.made(*sides([host("staging", "s1")], [host("do", "d1", apps={"shop": SHOP})]), None)
    for text in (said(one), said(one, terminal=True), json.dumps(report.as_json(one))):
        assert "t0ps3cret" not in text
        assert "0ther" not in text
        assert "source" in text
    # To people a whole app is its keys.
    assert "a table with source, user, requirements, shared," in said(one)
    assert found([host("staging", "s1")], [host("do", "d1", apps={"shop": SHOP})])["settings"][0]["right"][
        "d1"
    ]["value"]["variables"] == {"SHOP_MODE": "demo", "SHOP_PASSWORD": {"secret": "db_password"}}


def test_several_hosts_of_one_side() -> None:
    left = [host("staging", "s1"), host("staging", "s2", upgrade=False)]
    one = report.made(*sides(left, [host("do", "d1"), host("do", "d2")]), None)
    row = report.as_json(one)["settings"][0]
    assert {name: cell["value"] for name, cell in row["left"].items()} == {"s1": True, "s2": False}
    text = said(one)
    assert (
        "    staging  s1: true  [default]\n    staging  s2: false  [the host's own data]\n"
        "    do       true  [default]\n" in text
    )
    assert "hosts of staging differ among themselves in 1: upgrade" in text
    assert "hosts of do" not in text


def test_hosts_are_compared_by_their_groups() -> None:
    left = [
        host("staging", "s1"),
        host("staging", "s2", ("web",)),
        host("staging", "s3", ("db",), upgrade=False),
    ]
    right = [
        host("do", "d1", ("web",), upgrade=False),
        host("do", "d2", ("db",)),
        host("do", "d3", ("queue",)),
    ]
    pairs, alone = paired(*sides(left, right))
    assert [(one.role, [x.name for x in one.left], [x.name for x in one.right]) for one in pairs] == [
        ("web", ["s2"], ["d1"]), ("db", ["s3"], ["d2"]),
    ]  # fmt: skip
    assert [(one.side, one.role, one.hosts) for one in alone] == [
        ("staging", "", ["s1"]),
        ("do", "queue", ["d3"]),
    ]
    one = report.made(*sides(left, right), None)
    assert {row.role for row in one.settings} == {"web", "db"}
    assert "do: d3 is in group queue, as nobody on the other side: not compared" in said(one)
    # One role on each side: they stand for each other, whatever they are called.
    assert paired(*sides([host("staging", "s1")], [host("do", "d1", ("web",))]))[1] == []


RELEASED: dict[str, Any] = {
    "release": "r1",
    "digest": "d" * 64,
    "migrations": [f"{n:03} 0123abcd" for n in range(9)],
}
FACTS = {
    "system": {"kernel": "6.1", "cpus": 2},
    "postgresql": {
        "version": "15.8", "locale": "C, UTF8", "changed": ["work_mem"],
        "settings": {"work_mem": "8MB", "fsync": "on", "autovacuum": "on"},
    },
    "playbook": "1a2b3c4d5e6f",
    "apps": {"shop": RELEASED},
}  # fmt: skip


def surveyed(packages: dict[str, str], **other: Any) -> Surveyed:
    return parsed({"facts": {**FACTS, **other}, "packages": packages, "problems": []})


def parsed(told: Any) -> Surveyed:
    return survey.parsed(Answer(json.dumps(told)))


def test_facts_that_differ() -> None:
    here, there = [host("staging", "s1")], [host("do", "d1")]
    server = {
        "version": "17.2", "locale": "C, UTF8", "changed": ["fsync"],
        "settings": {"work_mem": "4MB", "fsync": "off", "autovacuum": "off"},
    }  # fmt: skip
    migrated = {**RELEASED, "migrations": [*RELEASED["migrations"], "009 feedabba"]}
    one = report.made(
        *sides(here, there),
        (
            {"s1": surveyed({"htop": "1", "ufw": "1"})},
            {"d1": surveyed({"htop": "2", "ufw": "1"}, postgresql=server, apps={"shop": migrated})},
        ),
    )
    # What neither changed differs by version alone, and is not told.
    assert [row.name for row in one.facts] == [
        "postgresql.version", "postgresql.settings.work_mem", "postgresql.settings.fsync",
        "apps.shop.migrations",
    ]  # fmt: skip
    assert [row.name for row in one.packages] == ["packages.htop"]
    assert one.same == {"settings": one.same["settings"], "facts": 6, "packages": 1}
    text = said(one)
    assert "staging  9 entries, 9 as there\n    do       10 entries, 9 as there, and 009 feedabba" in text
    assert "facts: 4 differ, 6 are the same; packages: 1 differ, 1 are the same" in text


def test_a_host_that_has_nothing_yet_and_one_that_does_not_answer() -> None:
    bare = surveyed({}, postgresql={}, playbook=None, apps={"shop": {}})
    hosts = [host("do", "d1"), host("do", "d2")]
    lost = Surveyed(problems=["d2 cannot be reached: no route"])
    one = report.made(
        *sides([host("staging", "s1")], hosts), ({"s1": surveyed({})}, {"d1": bare, "d2": lost})
    )
    assert [row.name for row in one.facts] == ["postgresql.version", "playbook", "apps.shop.release"]
    assert one.problems == ["do: d2 cannot be reached: no route"]
    assert "(not there)" in said(one)
    # Nobody answered on one side: nothing is said of facts but that.
    one = report.made(*sides([host("staging", "s1")], hosts[1:]), ({"s1": surveyed({})}, {"d2": lost}))
    assert one.facts == []
    assert "facts could not be compared" in said(one)
    assert "cannot be read" in parsed("no table").problems[0]


def test_a_narrow_terminal() -> None:
    long: dict[str, Any] = {"apps": {"shop": {**SHOP, "variables": {"SHOP_" + "X" * 60: "y" * 200}}}}
    other: dict[str, Any] = {"apps": {"shop": {**SHOP, "variables": {"SHOP_" + "X" * 60: "[red]ä"}}}}
    one = report.made(*sides([host("staging", "s1", **long)], [host("do", "d1", **other)]), None)
    text = said(one, terminal=True)
    assert max(len(line) for line in text.splitlines() if "differ" not in line) <= 80
    assert text.count("y") >= 200
    # What a value says is no markup, and steers nothing.
    assert "[red]ä" in text
    assert words.said("0001_\x1b[31m\n") == "0001_?[31m?"
    assert "─" in text
    plain = said(one)
    assert "─" not in plain
    assert f"    staging  {'y' * 200}  [" in plain


def test_what_the_host_says(tmp_path: Path) -> None:
    """The program itself, on this machine."""
    release = tmp_path / "releases" / "r1"
    release.mkdir(parents=True)
    (release / ".hostwright.json").write_text(json.dumps({"about": {"digest": "d", "commit": "c"}}))
    (tmp_path / "current").symlink_to("releases/r1")
    apps = {
        "shop": {"root": str(tmp_path), "database": None},
        "other": {"root": "/nowhere", "database": None},
    }
    about = {"port": 1, "packages": [], "patterns": [], "ledger": "", "salt": "x", "apps": apps}
    command = [sys.executable, "-I", "-c", script.text("survey.py"), json.dumps(about)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    facts = json.loads(done.stdout)["facts"]
    assert facts["apps"] == {"shop": {"release": "r1", "digest": "d"}, "other": {}}
    assert facts["system"]["kernel"] == os.uname().release
    assert all(facts["system"].values())


def compare(*arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """Run the program; nothing listens on the discard port of this machine."""
    kept = {
        key: value for key, value in os.environ.items() if not key.startswith(("HOSTWRIGHT_", "DIGITALOCEAN"))
    }
    closed = {"HOSTWRIGHT_STAGING_HOSTS": "root@127.0.0.1:9", "HOSTWRIGHT_DO_HOSTS": "root@127.0.0.2:9"}
    return subprocess.run(
        [sys.executable, "compare.py", *arguments], cwd=PROJECT, env={**kept, **closed, **environ},
        capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False, timeout=120,
    )  # fmt: skip


def test_exit_codes_and_json() -> None:
    done = compare(STAGING, DO, "--settings-only", "--json", "--exit-code")
    assert (done.returncode, done.stderr) == (2, "")
    told = json.loads(done.stdout)
    assert set(told) == {
        "version", "differs", "left", "right", "settings", "facts", "packages", "same", "alone", "problems",
    }  # fmt: skip
    assert told["left"] == {
        "environment": "staging",
        "inventory": STAGING,
        "hosts": {"127.0.0.1": {"role": ""}},
    }
    assert (told["facts"], told["packages"]) == (None, None)
    mode = next(row for row in told["settings"] if row["path"][-1] == "REC_ACCOUNT_MODE")
    assert mode == {
        "path": ["apps", "rec_io", "variables", "REC_ACCOUNT_MODE"],
        "role": "",
        "left": {"127.0.0.1": {"value": "demo", "from": "group_data/all.py"}},
        "right": {"127.0.0.2": {"value": "prod", "from": "group_data/do.py, overrides"}},
    }
    assert compare(STAGING, DO, "--settings-only").returncode == 0


def test_a_host_that_cannot_be_reached() -> None:
    """It is named, and what is declared is shown all the same."""
    done = compare(STAGING, DO, "--exit-code")
    assert done.returncode == 1
    assert "compare: staging: 127.0.0.1 cannot be reached" in done.stderr
    assert "compare: do: 127.0.0.2 cannot be reached" in done.stderr
    assert "REC_ACCOUNT_MODE" in done.stdout
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("arguments", "remedy"),
    [
        (("inventories/stagin.py", DO), "does not exist; there are: inventories/do.py"),
        ((STAGING, f"./{STAGING}"), "is given twice, and never differs from itself; name two inventories"),
        ((STAGING, DO, "--fix"), "No such option"),
        ((STAGING,), "Missing argument 'RIGHT'"),
    ],
)
def test_bad_words(arguments: tuple[str, ...], remedy: str) -> None:
    done = compare(*arguments)
    assert (done.returncode, done.stdout) == (1, "")
    assert remedy in done.stderr


def test_an_inventory_without_hosts() -> None:
    done = compare(STAGING, DO, HOSTWRIGHT_DO_HOSTS="")
    assert (done.returncode, done.stdout) == (1, "")
    assert "the inventory has no hosts. Set DIGITALOCEAN_TOKEN" in done.stderr


def test_a_connector_that_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOSTWRIGHT_CONNECTOR", "quick")
    with pytest.raises(asking.AskingError, match="is 'quick'; write 'fast' or 'plain'"):
        asking.ask([], "survey.py", lambda _: [])


def test_two_inventories_of_one_environment(tmp_path: Path) -> None:
    (tmp_path / "staging.py").write_text("hosts = ['nowhere']\n")
    done = compare(STAGING, str(tmp_path / "staging.py"), "--settings-only")
    assert (done.returncode, done.stdout) == (1, "")
    assert "are both of environment 'staging'" in done.stderr
