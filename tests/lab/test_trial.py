"""
One run at a time, each remembered, and every way to stop one: on a host where rec_io is deployed.

The tests go on from what the one before left. What happens at every step of an upgrade is in test_faults.py.
"""

from __future__ import annotations

import json
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.lab.playbook import LabHost, shell, ssh
from tests.lab.project import STATUS, Deployed, copy

TEMPLATE = "deployed"
# Debian 12 has the sample of the fault matrix.
pytestmark = pytest.mark.parametrize("lab_host", ["trixie"], indirect=True, scope="module")

INDEX = "examples/rec_io/backend/static/index.html"
SECONDS = 20


def release(project: Path, number: int) -> None:
    """Make another release: the page says which."""
    page = project / INDEX
    page.write_text(page.read_text().replace("</body>", f"<p>release {number}</p></body>"))


@pytest.fixture(scope="module")
def deployed(lab_host: LabHost, tmp_path_factory: pytest.TempPathFactory) -> Deployed:
    """A host at release 0, whose project is about to say how long a trial lasts."""
    project = copy(tmp_path_factory.mktemp("clone"))
    with (project / "group_data/lab.py").open("a") as file:
        file.write(f'overrides["trial"] = {{"seconds": {SECONDS}}}\n')
    result = Deployed(lab_host, "root" if lab_host.image == "bookworm" else "admin", project)
    result.run("-y")
    return result


def ledger(host: LabHost) -> list[dict[str, Any]]:
    return [json.loads(line) for line in shell(host, "cat /var/log/hostwright/ledger.jsonl").splitlines()]


def current(host: LabHost) -> str:
    return shell(host, "readlink /opt/rec_io/current")


def left(host: LabHost) -> str:
    return ssh(host, "ls -d /run/hostwright/lock /var/lib/hostwright/trial*").stdout


def wait_until(what: Callable[[], bool], seconds: float) -> float:
    began = time.monotonic()
    while not what():
        assert time.monotonic() - began < seconds, "it did not come about in time"
        time.sleep(0.5)
    return time.monotonic() - began


@contextmanager
def held_up(deployed: Deployed) -> Iterator[subprocess.Popen[str]]:
    """Begin a run that stops before its confirmation and waits there."""
    verb = deployed.project / "deploy.py"
    text = verb.read_text()
    waits = 'from pyinfra.operations import server\nserver.shell(name="Linger", commands=["sleep 90"])\n'
    verb.write_text(text.replace("trial.confirm()", f"{waits}trial.confirm()"))
    try:
        process = deployed.start("-y")
        wait_until(lambda: "sleep 90" in ssh(deployed.host, "ps -eo args").stdout, 120)
        # It has read its verb: those that come after it need not linger.
        verb.write_text(text)
        yield process
        process.kill()
        process.communicate()
    finally:
        verb.write_text(text)


def well(host: LabHost) -> bool:
    done = ssh(host, STATUS)
    return done.returncode == 0 and done.stdout.count("RUNNING") == 12


def test_a_run_without_changes_leaves_only_a_line_in_the_ledger(deployed: Deployed) -> None:
    assert deployed.changed() == []
    assert ledger(deployed.host)[-1]["outcome"] == "unchanged"
    assert left(deployed.host) == ""


def test_a_change_is_confirmed_and_remembered(deployed: Deployed) -> None:
    before = current(deployed.host)
    release(deployed.project, 1)
    began = time.monotonic()
    deployed.run("-y")
    print(f"code-only release, from pyinfra -y to confirmed: {time.monotonic() - began:.1f} s")
    assert "main_app restarted: its code changed" in deployed.output
    assert "11 of 12 services of rec_io were left as they run" in deployed.output
    assert current(deployed.host) != before
    line = ledger(deployed.host)[-1]
    assert line["outcome"] == "confirmed"
    assert line["purpose"] == "deploy.py (lab)"
    assert f"releases/{line['releases']['rec_io']['release']}" == current(deployed.host)
    assert left(deployed.host) == ""


def test_a_second_run_is_told_who_is_at_work_or_waits(deployed: Deployed) -> None:
    release(deployed.project, 2)
    with held_up(deployed) as first:
        second = deployed.start("-y")
        text = "".join(second.communicate(timeout=600))
        assert second.returncode == 1
        assert "has been running deploy.py (lab) here since" in text
        assert "--data wait=600" in text
        waiting = deployed.start("-y", "--data", "wait=120")
        time.sleep(4)
        assert waiting.poll() is None
        first.send_signal(signal.SIGINT)
        out = "".join(first.communicate(timeout=600))
        assert first.returncode == 130, out
        assert "the host is as it was before this run" in out
        # It waited, and what it does is not what the first one did: that was undone.
        text = "".join(waiting.communicate(timeout=600))
        assert waiting.returncode == 0, text[-3000:]
    assert [line["outcome"] for line in ledger(deployed.host)[-2:]] == ["undone", "confirmed"]
    assert well(deployed.host)


def test_a_killed_controller_is_noticed_long_before_the_timer(deployed: Deployed) -> None:
    before = current(deployed.host)
    release(deployed.project, 3)
    with held_up(deployed) as run:
        assert current(deployed.host) != before
        run.kill()
        wait_until(lambda: left(deployed.host) == "", SECONDS + 60)
    assert current(deployed.host) == before
    assert "sleep 90" not in shell(deployed.host, "ps -eo args"), "what the dead run was at still runs"
    line = ledger(deployed.host)[-1]
    assert (line["outcome"], line["by"]) == ("undone", "host")
    assert well(deployed.host)


def test_the_next_run_finishes_what_was_cut_off(deployed: Deployed) -> None:
    with held_up(deployed) as run:
        run.kill()
        run.communicate()
        deployed.run("-y")
    assert ledger(deployed.host)[-1]["outcome"] == "confirmed"
    assert "release 3" in shell(
        deployed.host, f"cat /opt/rec_io/current/{INDEX.removeprefix('examples/rec_io/')}"
    )


def test_rollback_goes_one_back_and_again(deployed: Deployed) -> None:
    good = [line for line in ledger(deployed.host) if line["outcome"] == "confirmed"]
    expected = [f"releases/{line['releases']['rec_io']['release']}" for line in good]
    assert current(deployed.host) == expected[-1]
    for wanted in (expected[-2], expected[-3]):
        began = time.monotonic()
        verb(deployed, "rollback.py")
        print(f"rollback by hand, from pyinfra -y to confirmed: {time.monotonic() - began:.1f} s")
        assert current(deployed.host) == wanted
        assert well(deployed.host)
    assert ledger(deployed.host)[-1]["outcome"] == "rolled back"
    # By name, what was left may be gone to again.
    verb(deployed, "rollback.py", "--data", f"to={expected[-1].removeprefix('releases/')[:8]}")
    assert current(deployed.host) == expected[-1]


def test_rollback_refuses_what_is_not_there(deployed: Deployed) -> None:
    before = current(deployed.host)
    assert "it is not on the host" in verb(deployed, "rollback.py", "--data", "to=zzzz", fails=True)
    assert "there is no app 'nope'" in verb(deployed, "rollback.py", "--data", "app=nope", fails=True)
    assert current(deployed.host) == before
    assert left(deployed.host) == ""


def test_history_shows_all_of_it(deployed: Deployed) -> None:
    text = verb(deployed, "history.py")
    for words in ("confirmed in", "undone in", "rolled back in", "releases of rec_io:", "snapshots, each"):
        assert words in text
    last = [line["id"] for line in ledger(deployed.host) if line["outcome"] == "rolled back"][-1]
    assert f"snapshot: /var/lib/hostwright/snapshots/{last}" in verb(
        deployed, "history.py", "--data", f"run={last}"
    )


def verb(deployed: Deployed, name: str, *flags: str, fails: bool = False) -> str:
    """Run another verb than deploy.py and return what it said."""
    process = deployed.start("-y", *flags, verb=name)
    text = "".join(process.communicate(timeout=600))
    assert (process.returncode != 0) == fails, text[-4000:]
    return text
