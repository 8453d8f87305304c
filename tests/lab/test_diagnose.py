"""diagnose.py on a real host, and a deploy that tells by itself which services it has made worse."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from diagnostics import store
from diagnostics.model import Diagnosis
from tests.lab import warm
from tests.lab.playbook import LabHost, shell, ssh
from tests.lab.project import Deployed, copy, state
from tests.lab.test_bad_releases import SERVICES, edit, override

TEMPLATE = "deployed"
pytestmark = pytest.mark.parametrize("lab_host", ["bookworm"], indirect=True, scope="module")
BURNER, TALKER = "strike_table_generator", "live_data_writer"
TICK = "def tick(context: Context) -> str:\n"
# In processes of its own: it is the service's whole group that counts.
CHILD = 'subprocess.Popen([sys.executable, "-c", "while True: pass"])'
BURN = (
    f"import subprocess\nimport sys\n\n\n{TICK}    if context.ticks == 0:\n        {CHILD}\n        {CHILD}\n"
)
TALK = (
    "import threading\nimport time\n\n\ndef talk(context: Context) -> None:\n    while True:\n"
    '        context.log.info("once more for the log")\n        time.sleep(0.1)\n\n\n'
    f"{TICK}    if context.ticks == 0:\n"
    "        threading.Thread(target=talk, args=[context], daemon=True).start()\n"
)


@pytest.fixture(scope="module", autouse=True)
def own_store(tmp_path_factory: pytest.TempPathFactory) -> Any:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HOSTWRIGHT_DIAGNOSTICS", str(tmp_path_factory.mktemp("kept")))
        yield


@pytest.fixture(scope="module")
def deployed(lab_host: LabHost, tmp_path_factory: pytest.TempPathFactory) -> Deployed:
    return Deployed(lab_host, "root", copy(tmp_path_factory.mktemp("clone")))


def diagnose(run: Deployed, *flags: str) -> tuple[int, str, str]:
    command = run.command(*flags, verb="diagnose.py")[1:]
    return warm.run(command, cwd=run.project, env=run.environ(), timeout=300)


def kept(host: LabHost) -> list[Diagnosis]:
    return [store.load(file) for file in store.files(store.directory("lab", host.name))]


def compared(*flags: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "diagnostics", "compare", *flags], capture_output=True, text=True, check=False
    )


def test_it_looks_for_a_few_seconds_and_changes_nothing(deployed: Deployed) -> None:
    before = state(deployed.host)
    rc, stdout, stderr = diagnose(deployed, "--data", "sample=2")
    assert rc == 0, stdout + stderr
    assert state(deployed.host) == before
    (found,) = kept(deployed.host)
    assert found.problems == []
    app = found.apps["rec_io"]
    assert {one.state for one in app.services.values()} == {"RUNNING"}
    assert {one.user for one in app.services.values()} == {"trader"}
    assert all(one.group is not None and one.group.count == 1 for one in app.services.values())
    assert app.supervisor is not None
    assert (app.supervisor.mode, app.supervisor.user, app.supervisor.findings) == ("0770", "trader", [])
    assert app.backups is not None
    assert app.backups.newest is not None
    assert found.database is not None
    assert found.database.databases["rec_io_db"].statements
    assert "postgresql@15-main.service" in found.others
    assert found.ledger
    assert found.ledger[-1].outcome == "confirmed"
    assert "main_app" in stdout
    secrets = shell(deployed.host, "cat /etc/rec_io/secrets/*").split()
    assert not [one for one in secrets if one in stdout or one in found.model_dump_json()]


def test_what_is_down_is_told_and_the_rest_all_the_same(deployed: Deployed) -> None:
    shell(deployed.host, "supervisorctl -c /etc/rec_io/supervisord.conf stop main_app")
    shell(deployed.host, "systemctl stop postgresql@15-main")
    try:
        rc, stdout, stderr = diagnose(deployed, "--json", "--data", "sample=1")
    finally:
        shell(deployed.host, "systemctl start postgresql@15-main")
        ssh(deployed.host, "supervisorctl -c /etc/rec_io/supervisord.conf start main_app")
    assert rc == 0, stdout + stderr
    found = json.loads(stdout)["hosts"][deployed.host.name]
    assert found["apps"]["rec_io"]["services"]["main_app"]["state"] == "STOPPED"
    assert found["database"] is None
    assert any("does not accept connections" in one for one in found["problems"])
    assert found["apps"]["rec_io"]["services"]["trade_manager"]["state"] == "RUNNING"


def test_a_deploy_names_exactly_what_it_has_made_worse(deployed: Deployed, tmp_path: Path) -> None:
    override(deployed.project, 'overrides["diagnose"] = True')
    edit(deployed.project, f"{SERVICES}/{BURNER}.py", TICK, BURN)
    edit(deployed.project, f"{SERVICES}/{TALKER}.py", TICK, TALK)
    deployed.run("-y")
    assert f"worse: rec_io/{BURNER}: CPU" in deployed.output
    assert f"worse: rec_io/{TALKER}: log" in deployed.output
    assert deployed.output.count("worse: rec_io/") == 2
    before, after = kept(deployed.host)[-2:]
    assert (before.purpose, after.purpose) == ("deploy.py (lab): before", "deploy.py (lab): confirmed")

    done = compared("--json", "--output", str(tmp_path))
    assert done.returncode == 2, done.stderr
    found = json.loads(done.stdout)["hosts"][deployed.host.name]
    assert sorted(found["worse"]) == [f"rec_io/{TALKER}", f"rec_io/{BURNER}"], done.stdout
    assert {row["metric"] for row in found["rows"] if row["verdict"] == "worse"} == {"cpu", "log"}
    (page,) = tmp_path.glob("*.html")
    assert f"rec_io/{BURNER}: CPU" in page.read_text(encoding="utf-8")
    assert json.loads(page.with_suffix(".json").read_text(encoding="utf-8")) == json.loads(done.stdout)


def test_a_deploy_that_changes_nothing_looks_at_nothing(deployed: Deployed) -> None:
    before = [one.id for one in kept(deployed.host)]
    assert deployed.changed() == []
    assert [one.id for one in kept(deployed.host)] == before
