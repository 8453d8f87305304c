"""drift.py on a deployed host: it tells each difference with its setting, and leaves everything as it is."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from facts.script import text
from tests.lab import warm
from tests.lab.damages import AS_POSTGRES, BATCHES, STOPPED
from tests.lab.playbook import PROJECT, LabHost, shell
from tests.lab.project import Deployed, state

TEMPLATE = "deployed"
# Which damages are told, by what, and by which setting.
TOLD = {
    "swap is off": ("/swapfile", "swap"),
    "a second line in fstab": ("/etc/fstab", "swap"),
    "another swappiness after a boot": ("/etc/sysctl.d/99-hostwright-swap.conf", "swap"),
    "passwords are let in": ("sshd passwordauthentication", "ssh"),
    "a package is gone": ("package nethogs", "packages"),
    "a rule that nobody declared": ("firewall rule", "firewall"),
    "another value in the environment file": ("/etc/rec_io/env", "apps.rec_io.secrets"),
    "the role may create databases": ("roles of rec_io_db", "apps.rec_io.database"),
    "everybody may connect": ("database rec_io_db", "apps.rec_io.database"),
    "a table is the app's": ("table public.archive_file in rec_io_db", "apps.rec_io.database"),
    "an index is gone": ("index trades_ticker_created_at_idx in rec_io_db", "apps.rec_io.database.indexes"),
    "the pool lets in fewer than declared": ("/etc/rec_io/pgbouncer.ini", "apps.rec_io.database.pool"),
    "no password is asked for": ("pg_hba.conf", "postgresql"),
    "no backup is made any more": ("hostwright-backup-rec_io.timer", "apps.*.backup"),
    "a service is stopped": (f"service {STOPPED} of rec_io", "apps.rec_io.services"),
    "nothing starts at boot": ("rec_io.service", "apps.rec_io.services"),
    "the firewall is off": ("firewall", "firewall"),
    "anybody writes data": ("/opt/rec_io/shared/backend/data", "apps.rec_io"),
    "anybody reads a secret": ("/etc/rec_io/secrets/db_password", "apps.rec_io.secrets"),
}
RECORD = "/var/lib/hostwright/drift.json"
WITH_RECORD = ("--data", "record=yes")
# The metrics of drift as a round of health writes them, from the host's own files.
METRICS = text("health_metrics.py") + "samples = Samples(); of_drift(samples); print(samples.text())"
DAMAGES = {one.label: one for batch in BATCHES.values() for one in batch}
pytestmark = pytest.mark.parametrize("lab_host", ["bookworm"], indirect=True, scope="module")


def drift(host: LabHost, *flags: str) -> tuple[int, str, str]:
    """Run drift.py as a timer does, without anybody to answer; return exit code and what it said."""
    run = Deployed(host, "root", PROJECT)
    command = run.command(*flags, verb="drift.py")[1:]
    return warm.run(command, cwd=PROJECT, env=run.environ(), timeout=600)


def report(host: LabHost, *flags: str) -> tuple[int, dict[str, Any], str]:
    """Return the exit code and the host's part of the JSON; nothing else may be in standard output."""
    rc, stdout, stderr = drift(host, "--json", *flags)
    found = json.loads(stdout)
    assert found["exit"] == rc, stderr
    assert list(found["hosts"]) == [host.name]
    return rc, found["hosts"][host.name], stdout + stderr


def metrics(host: LabHost) -> dict[str, float]:
    lines = shell(host, "python3 -I -", stdin=METRICS).splitlines()
    pairs = (line.split() for line in lines if line and not line.startswith("#"))
    return {name.removeprefix("hostwright_drift_"): float(value) for name, value in pairs}


@pytest.mark.parametrize("flags", [(), ("-y",), ("--dry",)])
def test_a_converged_host_is_as_declared(lab_host: LabHost, flags: tuple[str, ...]) -> None:
    before = state(lab_host)
    rc, stdout, stderr = drift(lab_host, *flags)
    assert rc == 0, stdout + stderr
    assert "as declared" in stdout
    assert state(lab_host) == before
    assert "drift.py" not in shell(lab_host, "cat /var/log/hostwright/ledger.jsonl")


def test_each_difference_is_told_with_its_setting(lab_host: LabHost) -> None:
    """Many at once, one of nearly every operation; the host stays as it was found, and no secret is shown."""
    for label in TOLD:
        shell(lab_host, DAMAGES[label].command)
    before = state(lab_host)
    rc, found, output = report(lab_host)
    assert rc == 2, output
    assert found["errors"] == []
    told = {(one["what"].rpartition("/")[2], one["setting"]) for one in found["differences"]}
    missing = {(what.rpartition("/")[2], setting) for what, setting in TOLD.values()} - told
    assert not missing, output
    assert found["operations"] > 25
    by_what = {one["what"]: one for one in found["differences"]}
    assert by_what[f"service {STOPPED} of rec_io"]["found"] == "STOPPED"
    assert by_what["/etc/sysctl.d/99-hostwright-swap.conf"]["found"] == "vm.swappiness = 99"
    assert {one["found"] for one in found["differences"] if one["what"] == "firewall"} >= {"not active"}
    assert state(lab_host) == before
    assert metrics(lab_host) == {}

    rc, stdout, _ = drift(lab_host, *WITH_RECORD)
    assert rc == 2
    assert "recorded on the host" in stdout
    kept = shell(lab_host, f"cat {RECORD}")
    assert shell(lab_host, f"stat -c '%a %U %G' {RECORD}") == "644 root root"
    record = json.loads(kept)
    assert sorted(record) == ["after", "at", "commit", "differences", "operations"]
    assert record["differences"] == len(found["differences"])
    assert record["operations"] == sorted({one["operation"] for one in found["differences"]})
    assert metrics(lab_host) == {"differences": record["differences"], "timestamp_seconds": record["at"]}
    # That file, and nothing else.
    assert {**state(lab_host), "/var/lib/hostwright": "", RECORD: ""} == {
        **before, "/var/lib/hostwright": "", RECORD: "",
    }  # fmt: skip
    stdout += kept
    assert "found      STOPPED\n    setting    apps.rec_io.services" in stdout
    secrets = shell(lab_host, "cat /etc/rec_io/secrets/*").split()
    assert not [one for one in secrets if output.count(one) + stdout.count(one)]


def test_after_a_deploy_nothing_of_it_is_left(lab_host: LabHost) -> None:
    for label in TOLD:
        shell(lab_host, DAMAGES[label].repair)
    Deployed(lab_host, "root", PROJECT).run("-y")
    # What was recorded before it is outdated by it.
    assert list(metrics(lab_host)) == ["timestamp_seconds"]
    rc, found, output = report(lab_host, *WITH_RECORD)
    assert (rc, found["differences"], found["errors"], found["recorded"]) == (0, [], [], True), output
    assert metrics(lab_host)["differences"] == 0
    rc, stdout, stderr = drift(lab_host, "--data", "record=no")
    assert rc == 1
    assert "record is 'no'; write --data record=yes, or leave it out" in stdout + stderr


def test_what_a_deploy_could_not_put_right_is_an_error(lab_host: LabHost) -> None:
    """An operation that refuses is told beside the differences of all others, and its exit code wins."""
    label = "ALTER SYSTEM overrides a setting"
    shell(lab_host, DAMAGES[label].command)
    shell(lab_host, "swapoff /swapfile")
    rc, found, output = report(lab_host)
    assert rc == 1, output
    assert [one["what"] for one in found["differences"]] == ["/swapfile"]
    assert len(found["errors"]) == 1
    assert "ALTER SYSTEM RESET" in found["errors"][0]
    shell(lab_host, DAMAGES[label].repair)
    shell(lab_host, "swapon /swapfile")


def test_a_host_that_somebody_works_on_says_nothing(lab_host: LabHost) -> None:
    lock = "run=20260101T000000Z-aaaaaa\\nowner=ann\\npurpose=deploy.py\\nsince=2026-01-01T00:00:00Z\\n"
    shell(lab_host, f"mkdir -p /run/hostwright; printf '{lock}' > /run/hostwright/lock")
    before = shell(lab_host, f"stat -c '%i %y' {RECORD}")
    rc, found, output = report(lab_host, *WITH_RECORD)
    shell(lab_host, "rm /run/hostwright/lock")
    assert (rc, found["recorded"]) == (1, False), output
    assert shell(lab_host, f"stat -c '%i %y' {RECORD}") == before
    assert "ann is at work with deploy.py" in found["errors"][0]


def test_old_package_lists_are_a_note(lab_host: LabHost, tmp_path: Path) -> None:
    """What was published since then is not known; that alone is no difference."""
    shell(lab_host, "touch -d '3 days ago' /var/lib/apt/lists /var/lib/apt/lists/*")
    rc, found, output = report(lab_host)
    assert rc == 0, output
    assert any("lists are" in note for note in found["notes"])


def test_the_database_is_not_reached(lab_host: LabHost) -> None:
    """A server that is down is a difference of everything that lives in it, and not a crash."""
    shell(lab_host, "pg_ctlcluster $(pg_lsclusters -h | awk '{ print $1, $2 }') stop -m fast")
    rc, found, output = report(lab_host)
    assert rc == 2, output
    assert "PostgreSQL" in {one["what"] for one in found["differences"]}
    shell(lab_host, "systemctl start postgresql")
    shell(lab_host, f"{AS_POSTGRES} -c 'select 1'")


def test_a_host_that_cannot_be_reached_is_an_error(lab_host: LabHost) -> None:
    away = LabHost(lab_host.name, lab_host.image, lab_host.address, lab_host.key, lab_host.known_hosts)
    rc, stdout, stderr = drift(away, "--data", "ssh_port=9")
    assert rc == 1, stdout + stderr
