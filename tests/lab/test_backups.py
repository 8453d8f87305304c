"""Backups on a real host: made, proven, copied, pruned, damaged and cut off."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.backup_cuts import shop
from tests.backup_cuts.shop import PROOF, PSQL, ROOT, UNIT, Cut, listed, schedule, stamps, start
from tests.lab.playbook import LabHost, fingerprint, run, shell, ssh

TEMPLATE = "packages"
ONE_LOGIN = True
ROWS = 120_000
TABLES = {
    "public.orders": ROWS, "public.odd": 4, 'public.Od d".x': 7, "public.empty": 0,
    "public.schema_migrations": 1,
}  # fmt: skip
WHERE = ("/etc/hostwright", "/etc/systemd/system", "/usr/local/lib/hostwright")
MADE = """
from operations import backups
backups.made(name="now", app="shop", verb={verb!r})
"""


@pytest.fixture(scope="module")
def prepared(lab_host: LabHost) -> LabHost:
    shop.prepare(lab_host, rows=ROWS)
    return lab_host


@pytest.fixture(scope="module")
def host(prepared: LabHost) -> Iterator[LabHost]:
    """The host with a first backup, and another program that writes all the time."""
    shop.write(prepared)
    yield prepared
    assert shop.lost(prepared)[1] == 0


def newest(host: LabHost) -> str:
    return f"{ROOT}/{stamps(host)[-1]}"


def wait_a_second(host: LabHost) -> None:
    shell(host, "sleep 1.1")


def test_schedule_again_changes_nothing(prepared: LabHost) -> None:
    before = fingerprint(prepared, *WHERE)
    assert schedule(prepared).ok().unchanged == ["schedule"]
    assert fingerprint(prepared, *WHERE) == before
    timers = shell(prepared, "systemctl list-timers --all --no-legend 'hostwright-*-shop.timer'")
    assert {line.split()[-1] for line in timers.splitlines()} == {UNIT, PROOF}
    assert all(not line.startswith(("-", "n/a")) for line in timers.splitlines())
    verified = ssh(prepared, f"systemd-analyze verify /etc/systemd/system/{UNIT}")
    assert verified.stderr.count("shop") == 0, verified.stderr


def test_first_is_made_once(prepared: LabHost) -> None:
    first = 'from operations import backups\nbackups.first(name="first", apps=["shop"])'
    assert run(prepared, first).ok().changed == ["first"]
    assert len(stamps(prepared)) == 1
    assert run(prepared, first).ok().unchanged == ["first"]


def test_made_while_rows_are_written(host: LabHost) -> None:
    wait_a_second(host)
    said = run(host, MADE.format(verb="make")).ok().output
    assert "rows in 6 tables" in said
    place = newest(host)
    about = json.loads(shell(host, f"cat {place}/backup.json"))
    assert {table: about["tables"][table] for table in TABLES} == TABLES
    assert about["tables"]["public.acked"] > 0
    assert (about["app"], about["database"], about["migrations"]) == ("shop", "shop", ["001_initial"])
    found = fingerprint(host, ROOT)
    wrong = {
        path: state
        for path, state in found.items()
        if state.split()[:4] not in (["d", "root", "root", "700"], ["f", "root", "root", "600"])
    }
    assert wrong == {}
    assert {path.removeprefix(f"{place}/") for path in found if path.startswith(f"{place}/")} >= {
        "backup.json", "globals.sql", "dump/toc.dat",
    }  # fmt: skip
    assert "SCRAM" not in said


def test_proof(host: LabHost) -> None:
    said = run(host, MADE.format(verb="prove")).ok().output
    assert "is proven: restored in" in said
    state = listed(host)["state"]
    assert (state["proof"]["ok"], state["proven"]["stamp"], state["proof"]["tables"]) == (
        True, stamps(host)[-1], 6,
    )  # fmt: skip
    assert shell(host, f"{PSQL} -c \"select datname from pg_database where datname like '%proof%'\"") == ""


@pytest.mark.images("bookworm")  # what a backup must be is the program's own
@pytest.mark.parametrize(
    ("damage", "says"),
    [
        ("truncate -s -20 $(ls -S {0}/dump/*.gz | head -n 1)", "ends in the middle"),
        ("f={0}/globals.sql; sed -i s/shop/shOp/ $f", "its checksum differs"),
        ("f=$(ls -S {0}/dump/*.gz | head -n 1); printf X | dd of=$f bs=1 seek=900 conv=notrunc", "dump/"),
        ("rm $(ls {0}/dump/*.gz | head -n 1)", "is missing"),
        ("touch {0}/dump/more", "does not belong to it"),
        ('sed -i \'s/"public.odd": 4/"public.odd": 5/\' {0}/backup.json', "public.odd has 4 rows and had 5"),
    ],
)
def test_damage_is_found(host: LabHost, damage: str, says: str) -> None:
    place = newest(host)
    shell(host, f"cp -a {place} /root/kept")
    try:
        shell(host, damage.format(place))
        assert start(host, PROOF) != 0
        assert says in listed(host)["state"]["proof"]["why"]
        assert shell(host, f"systemctl is-failed {PROOF}") == "failed"
    finally:
        shell(host, f"rm -r {place} && mv /root/kept {place}")
    assert listed(host)["state"]["proven"]["stamp"] == stamps(host)[-1]


def test_a_check_that_is_not_true_and_what_a_killed_proof_left(host: LabHost) -> None:
    shell(host, f"{PSQL} -c 'create database \"shop_proof_20260101T000000Z\"'")
    declared = "/etc/hostwright/backup/shop.json"
    shell(host, f"sed -i 's/> 2 FROM odd/> 9 FROM odd/' {declared}")
    assert start(host, PROOF) != 0
    assert "and not true" in listed(host)["state"]["proof"]["why"]
    assert schedule(host).ok().changed == ["schedule"]
    assert start(host, PROOF) == 0
    assert shell(host, f"{PSQL} -c \"select datname from pg_database where datname like '%proof%'\"") == ""


@pytest.mark.parametrize("how", [Cut("dump", 0.3), Cut("program", 0.6)])
def test_cut_off(host: LabHost, how: Cut) -> None:
    outcome = shop.cut(host, how, 1.0)
    assert outcome.good, outcome


def test_room(host: LabHost) -> None:
    """One that would not fit is refused, with what is missing; where the disk fills up it is given up."""
    wait_a_second(host)
    shop.mount_small(host, 20)
    try:
        assert start(host) != 0
        assert "are missing; free some space" in listed(host)["state"]["last_attempt"]["why"]
        assert shell(host, f"ls -A {ROOT}").split() == ["state.json"]
    finally:
        shop.unmount_small(host)
    shop.mount_small(host, 100)
    try:
        assert shop.cut(host, Cut("disk", 0.3), 1.0).good
    finally:
        shop.unmount_small(host)
    wait_a_second(host)
    assert start(host) == 0
    assert not [one for one in shell(host, f"ls -A {ROOT}").split() if one.startswith(".")]


def test_copies(host: LabHost) -> None:
    """Encrypted, the same there, pruned there, and a database again with the private key."""
    run(host, 'from operations import packages\npackages.installed(packages=["age", "rsync", "rclone"])').ok()
    public = shell(host, "age-keygen -o /root/key 2>/dev/null; age-keygen -y /root/key")
    for kind in ("rsync", "rclone"):
        old = f"/srv/{kind}/20200101T000000Z.tar.age /srv/{kind}/notes.txt"
        shell(host, f"mkdir -p /srv/{kind} && touch {old}")
        copy = f"age_recipients=[{public!r}], copy={{'kind': {kind!r}, 'to': '/srv/{kind}'}}"
        schedule(host, f", daily=1, weekly=0, monthly=0, {copy}").ok()
        wait_a_second(host)
        assert start(host) == 0, shell(host, f"journalctl -u {UNIT} -n 20 --no-pager")
        stamp = stamps(host)[-1]
        assert listed(host)["state"]["copied"]["ok"], kind
        assert shell(host, f"ls /srv/{kind}").split() == [f"{stamp}.tar.age", "notes.txt"]
        shell(host, f"age -d -i /root/key /srv/{kind}/{stamp}.tar.age | tar -x -C /srv")
        assert shell(host, f"diff -r /srv/{stamp} {ROOT}/{stamp}") == ""
        assert not [one for one in shell(host, f"ls -A {ROOT}").split() if one.startswith(".")]
    shell(host, "rm -r /srv/rclone && touch /srv/rclone")
    wait_a_second(host)
    assert start(host) != 0
    state = listed(host)["state"]
    assert (state["copied"]["ok"], state["last_attempt"]["ok"]) == (False, True)


def test_pruned(host: LabHost) -> None:
    """What the policy lets go goes; the one that is proven stays, however old."""
    proven = listed(host)["state"]["proven"]["stamp"]
    for stamp in ("20200101T000000Z", "20200102T000000Z"):
        shell(
            host,
            f"cp -a {newest(host)} {ROOT}/{stamp} && "
            f'sed -i \'s/"stamp": ".*"/"stamp": "{stamp}"/\' {ROOT}/{stamp}/backup.json',
        )
    schedule(host, ", daily=2, weekly=1, monthly=1").ok()
    wait_a_second(host)
    assert start(host) == 0
    found = stamps(host)
    assert "20200101T000000Z" not in found
    assert found[0] == "20200102T000000Z"
    assert proven in found


def test_off(host: LabHost) -> None:
    there = stamps(host)
    run(host, shop.SCHEDULE.format(backups="[]")).ok()
    assert shell(host, "systemctl list-timers --all --no-legend 'hostwright-*-shop.timer'") == ""
    assert ssh(host, "ls /etc/systemd/system/*/hostwright-*-shop.timer").stdout == ""
    assert {one for one in shell(host, f"ls {ROOT}").split() if one.startswith("2")} == set(there)
    assert run(host, shop.SCHEDULE.format(backups="[]")).ok().unchanged == ["schedule"]
