"""
Exactly what changed is restarted, and the run says which and why: PIDs on a real host.

On Debian 13 alone: both images have the same supervisor, and what differs between two releases is told by the
project's own program.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.lab import playbook
from tests.lab.lines import ROOT, pids, prepare, supervisor_pid
from tests.lab.playbook import LabHost, Result, run, shell

TEMPLATE = "packages"
ONE_LOGIN = True
pytestmark = pytest.mark.parametrize("lab_host", ["trixie"], indirect=True, scope="module")
SERVICES = ("web", "work", "feed")

DEPLOY = """
from pathlib import Path
import artefact
from operations import release, supervisor
ROOT, VENV, VARIABLES, LINKS = {root!r}, {venv!r}, {variables!r}, {links!r}
made = artefact.build(Path({tree!r}), cache=Path({cache!r}))
links = {{"venv": ROOT + "/venvs/" + VENV, **LINKS}}
parts = {{
    service: artefact.part(made.entries, ["common.py", service + ".py"], links) for service in {services!r}
}}
programs = [
    supervisor.Program(
        service=service, command=[links["venv"] + "/bin/python3", "-u", service + ".py"],
        directory=ROOT + "/parts/" + part.name, start_seconds=1, environment=VARIABLES.get(service, {{}}),
        stdout_log=ROOT + "/shared/logs/" + service + ".log",
        stderr_log=ROOT + "/shared/logs/" + service + ".err",
    )
    for service, part in parts.items()
]
files = {{"supervisor/" + one.service + ".conf": supervisor.program_text(one) for one in programs}}
name = release.identity(made.digest, files, links)[:12]
release.unpacked(name="unpack", app_dir=ROOT, release=name, archive=str(made.path), sha256=made.sha256,
                 digest=made.digest, files=files, links=links, parts=dict(parts.values()),
                 validate=supervisor.program_check())
release.current(name="switch", app_dir=ROOT, release=name)
supervisor.instance(name="instance", app="lines", user="lines", log_dir=ROOT + "/shared/logs",
                    writable=[ROOT + "/shared"])
supervisor.updated(name="update", app="lines", timeout=30)
release.pruned(name="prune", app_dir=ROOT, keep={keep!r})
"""


@pytest.fixture(scope="module")
def prepared(lab_host: LabHost) -> LabHost:
    prepare(lab_host)
    make_venv(lab_host, "v1")
    return lab_host


def make_venv(host: LabHost, venv: str) -> None:
    shell(host, f"mkdir -p {ROOT}/venvs/{venv}/bin; ln -s /usr/bin/python3 {ROOT}/venvs/{venv}/bin/")


class App:
    """The app's tree, and the last run of its deploy file."""

    def __init__(self, directory: Path) -> None:
        self.tree, self.cache = directory / "tree", directory / "cache"
        self.tree.mkdir()
        self.given: dict[str, object] = {"venv": "v1", "variables": {}, "links": {}, "keep": 4}
        self.write("common.py", "WORD = 'one'")
        for service in SERVICES:
            self.write(f"{service}.py", "import common, time\nprint(common.WORD)\ntime.sleep(9999)")

    def write(self, path: str, text: str) -> None:
        (self.tree / path).write_text(f"{text}\n")

    def deploy(self, host: LabHost, **changes: object) -> Result:
        self.given |= changes
        text = DEPLOY.format(
            root=ROOT, tree=str(self.tree), cache=str(self.cache), services=SERVICES, **self.given
        )
        return run(host, text).ok()


@pytest.fixture(scope="module")
def app(lab_host: LabHost, tmp_path_factory: pytest.TempPathFactory) -> App:
    return App(tmp_path_factory.mktemp("app"))


def restarted(before: dict[str, str], host: LabHost) -> set[str]:
    after = pids(host)
    assert set(after) == set(SERVICES)
    return {one for one in after if after[one] != before.get(one)}


def stands(host: LabHost, service: str) -> str:
    return shell(host, f"readlink /proc/{pids(host)[service]}/cwd").rpartition("/")[2]


def current(host: LabHost) -> str:
    return shell(host, f"readlink {ROOT}/current").rpartition("/")[2]


def test_a_file_of_one_service_restarts_that_one_alone(prepared: LabHost, app: App) -> None:
    first = app.deploy(prepared)
    assert "lines.service restarted with all its services: it was not running" in first.output
    before, main, release = pids(prepared), supervisor_pid(prepared), current(prepared)
    app.write("web.py", "import common, time\nprint('new')\ntime.sleep(9999)")
    result = app.deploy(prepared)
    assert restarted(before, prepared) == {"web"}
    assert "web restarted: its code changed" in result.output
    assert "2 of 3 services of lines were left as they run" in result.output
    assert supervisor_pid(prepared) == main
    assert current(prepared) != release
    assert (stands(prepared, "web"), stands(prepared, "work")) == (current(prepared), release)
    assert shell(prepared, f"tail -n 1 {ROOT}/shared/logs/web.log") == "new"
    # One that dies now starts with the code that it ran with.
    shell(prepared, f"kill {before['work']}; sleep 3")
    assert stands(prepared, "work") == release
    assert app.deploy(prepared).changed == []


def test_what_nobody_uses_restarts_nobody(prepared: LabHost, app: App) -> None:
    before, release = pids(prepared), current(prepared)
    app.write("README", "words")
    result = app.deploy(prepared)
    assert result.changed == ["unpack", "switch"]
    assert restarted(before, prepared) == set()
    assert current(prepared) != release
    assert shell(prepared, f"cat {ROOT}/current/README") == "words"


def test_a_variable_of_one_service_restarts_that_one_alone(prepared: LabHost, app: App) -> None:
    before = pids(prepared)
    result = app.deploy(prepared, variables={"feed": {"FEED_TOKEN": "hunter2"}})
    assert restarted(before, prepared) == {"feed"}
    assert "feed restarted: its configuration changed (environment FEED_TOKEN)" in result.output
    assert "hunter2" not in result.output


def test_a_common_file_restarts_all(prepared: LabHost, app: App) -> None:
    before = pids(prepared)
    app.write("common.py", "WORD = 'two'")
    result = app.deploy(prepared)
    assert restarted(before, prepared) == set(SERVICES)
    for service in SERVICES:
        assert f"{service} restarted: its code changed\n" in result.output
        assert stands(prepared, service) == current(prepared)


def test_packages_and_shared_directories_are_told_from_code(prepared: LabHost, app: App) -> None:
    before = pids(prepared)
    make_venv(prepared, "v2")
    result = app.deploy(prepared, venv="v2")
    assert restarted(before, prepared) == set(SERVICES)
    assert "web restarted: its packages changed\n" in result.output
    before = pids(prepared)
    result = app.deploy(prepared, links={"data": f"{ROOT}/shared"})
    assert restarted(before, prepared) == set(SERVICES)
    assert "web restarted: its shared directories changed\n" in result.output


def test_going_back_restarts_what_differs_and_says_why(prepared: LabHost, app: App) -> None:
    release = current(prepared)
    app.write("work.py", "import common, time\nprint('newer')\ntime.sleep(9999)")
    app.deploy(prepared)
    before = pids(prepared)
    text = (
        "from operations import release, supervisor\n"
        f"release.current(name='back', app_dir={ROOT!r}, release={release!r})\n"
        "supervisor.updated(name='update', app='lines', timeout=30)\n"
    )
    result = run(prepared, text).ok()
    assert restarted(before, prepared) == {"work"}
    assert "work restarted: its code changed" in result.output
    assert stands(prepared, "work") == release


def test_nothing_that_runs_is_pruned(prepared: LabHost, app: App) -> None:
    for number in range(3):
        app.write("web.py", f"import common, time\nprint({number})\ntime.sleep(9999)")
        app.deploy(prepared, keep=0)
    before = pids(prepared)
    held = {stands(prepared, service) for service in SERVICES}
    assert len(held) >= 2
    kept = set(shell(prepared, f"ls -A {ROOT}/releases").split())
    assert held <= kept
    assert len(kept) <= 5
    for link in shell(prepared, f"find {ROOT}/parts -type l").split():
        shell(prepared, f"test -f {link}/.hostwright.json")
    # They can start anew from what was kept.
    shell(prepared, f"kill {' '.join(before.values())}; sleep 4")
    assert restarted(before, prepared) == set(SERVICES)
    assert app.deploy(prepared).changed == []
    assert playbook.ssh(prepared, f"ls {ROOT}/releases/.*.old").returncode != 0
