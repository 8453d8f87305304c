"""Receipts: what one proves, what it does not, and what a changed one is worth."""

from __future__ import annotations

import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import playbook_identity
import receipts
from facts import script
from promotion import story
from promotion.sides import Side, beside
from promotion.stages import StageError, Stages, _telling
from receipts import keys, proof, store
from receipts.receipt import Receipt, make
from settings import files
from settings.digest import digest, flat, own_paths

WANTED = proof.Wanted({"shop": "d" * 64}, "1a2b3c", "s" * 64)


@pytest.fixture(autouse=True)
def mine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Give each test a key and a store of its own."""
    monkeypatch.setenv("HOSTWRIGHT_RECEIPTS", str(tmp_path / "receipts"))
    monkeypatch.setenv("HOSTWRIGHT_RECEIPT_KEY", str(tmp_path / "key"))


def one(**fields: Any) -> Receipt:
    app = {"release": "r", "digest": "d" * 64, "commit": None}
    host = {"apps": {"shop": app}, "settings": "s" * 64, "versions": {"python": "3.11.2"}}
    return make(
        **{
            "environment": "staging", "inventory": "inventories/staging.py", "by": "me@here",
            "playbook": "1a2b3c", "hosts": {"app-1": host}, "excluded": ["environment"],
            "results": {"test_a": "passed"}, **fields,
        }
    )  # fmt: skip


def asked(wanted: proof.Wanted = WANTED, **how: Any) -> Receipt | proof.Unproven:
    return proof.check(wanted, **{"environment": "staging", "hours": 72, "trusted": (), **how})


def refusal(wanted: proof.Wanted = WANTED, **how: Any) -> str:
    found = asked(wanted, **how)
    assert isinstance(found, proof.Unproven), found
    return str(found)


def test_the_receipt_that_fits() -> None:
    receipt = one()
    store.save(receipt)
    assert asked() == receipt


def test_each_that_does_not() -> None:
    assert "nothing was proven on staging yet" in refusal()
    store.save(one())
    assert "shop is eeeeeeeeeeee here and dddddddddddd in the newest" in refusal(
        replace(WANTED, digests={"shop": "e" * 64})
    )
    assert "other is eeeeeeeeeeee here and not there" in refusal(replace(WANTED, digests={"other": "e" * 64}))
    assert "this playbook is 9f+1, and staging proved this code with 1a2b3c" in refusal(
        replace(WANTED, playbook="9f+1")
    )
    assert "no host of staging has these settings (beyond environment)" in refusal(
        replace(WANTED, settings="t" * 64)
    )


def test_one_that_is_red_or_old_or_of_tomorrow() -> None:
    green = one()
    store.save(green)
    assert "is 73 hours old" in refusal(now=green.made + 73 * 3600)
    assert "from the future" in refusal(now=green.made - 400)
    # What came later counts more.
    store.save(replace(one(results={"test_a": "passed", "test_b": "failed"}), id="9").signed())
    assert "(test_b)" in refusal()
    store.save(replace(one(problems=["app-1 cannot be reached"]), id="99").signed())
    assert "(app-1 cannot be reached)" in refusal()
    store.save(replace(one(results={}), id="999").signed())
    assert "(nothing was looked at)" in refusal()


@pytest.mark.parametrize("field", ["made", "playbook", "results", "hosts", "by", "problems", "excluded"])
def test_a_changed_receipt(field: str) -> None:
    """Whatever is changed, the signature tells."""
    receipt = one()
    value = getattr(receipt, field)
    other: Any = (
        [*value, "x"] if isinstance(value, list) else {**value, "x": "y"} if isinstance(value, dict) else 1
    )
    assert receipt.is_as_signed()
    changed: dict[str, Any] = {field: other}
    assert not replace(receipt, **changed).is_as_signed()
    store.save(replace(receipt, made=receipt.made + 1))
    assert "was changed after it was signed" in refusal()


def test_whose_receipts_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOSTWRIGHT_RECEIPT_KEY", str(tmp_path / "colleague"))
    theirs = one()
    store.save(theirs)
    monkeypatch.setenv("HOSTWRIGHT_RECEIPT_KEY", str(tmp_path / "key"))
    assert "which is not trusted here" in refusal()
    assert asked(trusted=[theirs.key]) == theirs
    # And the own key does not count where others are listed.
    store.save(replace(one(), id="9").signed())
    assert "which is not trusted here" in refusal(trusted=[theirs.key])


def test_the_key(tmp_path: Path) -> None:
    first = keys.public(keys.private())
    assert keys.public(keys.private()) == first == keys.own()
    assert (tmp_path / "key").stat().st_mode & 0o777 == 0o600
    (tmp_path / "key").chmod(0o640)
    with pytest.raises(receipts.ReceiptError, match="chmod 600"):
        keys.private()
    (tmp_path / "key").write_text("no key\n")
    (tmp_path / "key").chmod(0o600)
    with pytest.raises(receipts.ReceiptError, match="is not a private key"):
        keys.private()


def test_what_is_no_receipt_is_told_and_passed_over() -> None:
    store.save(one())
    (store.directory("staging") / "0.json").write_text("{")
    (store.directory("staging") / "1.json").write_text('{"version": 7}')
    found, wrong = store.load("staging")
    assert len(found) == 1
    assert len(wrong) == 2


def test_only_the_newest_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "KEPT", 3)
    for count in range(5):
        store.save(replace(one(), id=str(count)))
    assert [receipt.id for receipt in store.load("staging")[0]] == ["4", "3", "2"]


def git(project: Path, *words: str) -> None:
    who = ("-c", "user.name=a", "-c", "user.email=a@example.org")
    subprocess.run(["git", *who, *words], cwd=project, check=True, capture_output=True)


def test_a_playbook_is_looked_into_once_for_all_hosts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each host of a run asks, and while git is waited for the next one does."""
    looked = []

    def slow(*words: Any) -> Any:
        looked.append(words)
        time.sleep(0.2)
        raise FileNotFoundError

    monkeypatch.setattr(playbook_identity, "run_git", slow)
    monkeypatch.setattr(playbook_identity, "wanted", lambda _: set())
    with ThreadPoolExecutor(5) as hosts:
        assert len(set(hosts.map(playbook_identity.of, [tmp_path] * 5))) == 1
    assert len(looked) == 1


def test_a_playbooks_identity(tmp_path: Path) -> None:
    def identity() -> str:
        playbook_identity._of.cache_clear()
        return playbook_identity.of(tmp_path)

    (tmp_path / "tasks").mkdir()
    (tmp_path / "tasks" / "a.py").write_text("1\n")
    outside = identity()
    assert outside.startswith("+")
    git(tmp_path, "init", "-q")
    assert identity() == outside
    git(tmp_path, "add", "-A")
    git(tmp_path, "commit", "-qm", "one")
    commit = identity()
    assert len(commit) == 12
    # Hosts of an environment, documents and tests are no other playbook.
    for name in ("README.md", "docs/a.md", "inventories/do.yaml", "tests/unit/test_a.py"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("x\n")
    assert identity() == commit
    for name in ("group_data/web two.py", "tests/acceptance/test_a.py", "tasks/a.py", "inventories/do.py"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("2\n")
        changed = identity()
        assert changed.startswith(f"{commit}+"), name
        assert changed == identity()
        git(tmp_path, "add", "-A")
        git(tmp_path, "commit", "-qm", name)
        commit = identity()
        assert "+" not in commit
    (tmp_path / "tasks" / "a.py").rename(tmp_path / "tasks" / "b c.py")
    git(tmp_path, "add", "-A")
    assert "+" in identity()


def test_what_an_environment_declares_for_itself_does_not_count(tmp_path: Path) -> None:
    project(tmp_path)
    paths = own_paths(tmp_path, "staging")
    assert paths == (
        "environment",
        "postgresql.port",
        "postgresql.recovery.full",
        "requires_receipt_from",
        "swap.size",
    )
    proven = of(tmp_path, "staging")
    assert proven == of(tmp_path, "do")
    # What it was changed to below does not count either: here a table in the place of None.
    assert proven == of(
        tmp_path, "do", overrides={"postgresql": {"port": 5433, "recovery": {"full": "02:00"}}}
    )
    assert flat({"a": {"b": 1, "c": {}}, "d": [1]}) == {"a.b": 1, "a.c": {}, "d": [1]}


def test_what_is_shared_counts(tmp_path: Path) -> None:
    """A host's own data, and below what an environment overrides or replaces what stands there without it."""
    project(tmp_path)
    proven = of(tmp_path, "staging")
    assert proven != of(tmp_path, "do", upgrade=False)
    assert proven != of(tmp_path, "do", swap={"size": "9G"})
    assert proven != of(tmp_path, "do", groups=("hosts", "web", "do"), packages=["tree"])
    assert proven != of(tmp_path, "do", overrides={"postgresql": {"port": 5999}})
    # Connection, droplet and what is said of one run are none.
    assert proven == of(tmp_path, "do", ssh_hostname="203.0.113.1", _sudo=True, yes=True, droplet={"id": 1})
    # Where the neighbours are is the network's; who asks, and what is told of it, is the host's.
    asking: dict[str, Any] = {"server": True, "targets": {"db-1": "10.0.0.3"}}
    alone = of(tmp_path, "do", monitoring={"server": True})
    assert alone == of(tmp_path, "do", monitoring=asking) != proven
    assert asking["targets"] == {"db-1": "10.0.0.3"}
    assert alone != of(tmp_path, "do", monitoring={**asking, "every": 15})
    asked = {"server": False, "listen": "10.0.0.3", "asked_by": ["10.0.0.2"]}
    assert alone != of(tmp_path, "do", monitoring=asked)
    assert of(tmp_path, "do", monitoring=asked) == of(tmp_path, "do", monitoring={"server": False})
    # A value that the environment replaces whole: the one of all.py, or of the host's group, counts.
    data = tmp_path / "group_data"
    (data / "lab.py").write_text("environment = 'lab'\nupgrade = False\npackages = ['tree']\n")
    mine: dict[str, Any] = {"upgrade": False, "packages": ["tree"]}
    assert proven == of(tmp_path, "lab", **mine)
    assert proven != of(tmp_path, "lab", **{**mine, "packages": ["vim"]})
    (data / "web.py").write_text("packages = ['htop']\n")
    files.declared.cache_clear()
    in_group = of(tmp_path, "lab", groups=("hosts", "web", "lab"), **mine)
    assert in_group == of(tmp_path, "do", groups=("hosts", "web", "do"), packages=["htop"])
    assert in_group != proven


def project(directory: Path) -> None:
    """Make a project of three environments."""
    files.declared.cache_clear()
    own_paths.cache_clear()
    for kind in ("inventories", "group_data"):
        (directory / kind).mkdir()
    for name in ("staging", "do", "lab"):
        (directory / "inventories" / f"{name}.py").write_text("")
    data = directory / "group_data"
    (data / "all.py").write_text("upgrade = True\nswap = {'size': '2G'}\npostgresql = {'recovery': None}\n")
    (data / "staging.py").write_text("environment = 'staging'\noverrides = {'swap': {'size': '1G'}}\n")
    (data / "do.py").write_text(
        "environment = 'do'\nrequires_receipt_from = 'staging'\n"
        "overrides = {'postgresql': {'port': 5433, 'recovery': {'full': '02:00'}}}\n"
    )
    (data / "lab.py").write_text("environment = 'lab'\nupgrade = False\n")


def of(directory: Path, environment: str, groups: tuple[str, ...] = (), **own: Any) -> str:
    """Return the digest of a host with data of its own, as pyinfra merges it."""
    merged = {**files.declared(directory, "all"), **files.declared(directory, environment), **own}
    return digest(merged, project=directory, environment=environment, groups=groups or ("hosts", environment))


def test_a_stage_that_fails_says_why_on_one_screen(tmp_path: Path) -> None:
    stages = Stages(tmp_path / "logs", verbose=False)
    stages.untouched = "do was not touched"
    assert stages.run("say", ["echo", "hello"]).said == "hello\n"
    assert stages.run("differ", ["sh", "-c", "exit 2"], accepted=(0, 2)).code == 2
    with pytest.raises(StageError, match="last words\n\nbreak did not pass; do was not touched") as found:
        stages.run("break", ["sh", "-c", "seq 100; echo last words; exit 1"])
    assert len(str(found.value).splitlines()) < 20
    assert str(tmp_path / "logs" / "3-break.log") in str(found.value)
    sums_up = [f"FAILED tests/a.py::test_{count} - why" for count in range(30)]
    assert _telling("\n".join(["noise", *sums_up, "30 failed"]))[-1] == "... and 16 more"


def test_two_sides() -> None:
    left = Side("staging", one())
    text = beside(left, Side("do", one(playbook="2b", environment="do")))
    rows = {line.split("│")[1].strip(): line for line in text.splitlines() if "│" in line}
    assert "differs" in rows["playbook"]
    assert "differs" not in rows["python"]
    assert "dddddddddddd" in rows["shop: digest"]


def test_only_yes_is_a_yes(monkeypatch: pytest.MonkeyPatch) -> None:
    for typed, agrees in (("yes", True), (" yes ", True), ("y", False), ("", False), ("no", False)):
        monkeypatch.setattr("builtins.input", lambda _, typed=typed: typed)
        assert story.agreed("do") is agrees

    def closed(_: str) -> str:
        raise EOFError

    monkeypatch.setattr("builtins.input", closed)
    assert story.agreed("do") is False


def host_program(name: str, *arguments: str, stdin: str = "") -> str:
    command = ["sh", "-c", script.text(name), "sh", *arguments]
    return subprocess.run(command, input=stdin, capture_output=True, text=True, check=True).stdout


def test_a_host_keeps_the_newest(tmp_path: Path) -> None:
    place = tmp_path / "host" / "receipts"
    assert host_program("receipt-read.sh", str(place)) == ""
    for count in range(22):
        host_program("receipt-keep.sh", str(place), f"{count:02}.json", stdin=f"receipt {count}\n")
    assert sorted(file.name for file in place.iterdir()) == [f"{count:02}.json" for count in range(2, 22)]
    read = host_program("receipt-read.sh", str(place)).split("\0")
    assert read == [*(f"receipt {count}\n" for count in range(2, 22)), ""]
