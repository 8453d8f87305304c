"""The suite's options, its hosts, and what every test looks at them with."""

from __future__ import annotations

import re
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import pytest
from pyinfra.api.exceptions import PyinfraError

from declared import DeclaredHost, InventoryError, read
from settings import Settings
from settings.errors import SettingsError
from tasks.machine import BASE_PACKAGES
from tests.acceptance.fleet import Fleet
from tests.acceptance.receipt import written
from tests.acceptance.remote import Host, Remote
from tests.acceptance.view import HostView

FLEET = pytest.StashKey[Fleet]()
LEFT_OUT = pytest.StashKey[list[str]]()
RESULTS = pytest.StashKey[dict[str, str]]()
RECEIPT = pytest.StashKey[str]()
USAGE = "pytest tests/acceptance --inventory inventories/staging.py"

# What moves logs comes after everything that looks at the services, and what restarts them comes last.
LATE = {"test_services": 1, "test_rotation": 2, "test_restart": 3}


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options of this suite."""
    group = parser.getgroup("acceptance", "hosts as declared")
    group.addoption("--inventory", metavar="FILE", help="inventory whose hosts are looked at; required")
    group.addoption("--limit", metavar="HOST", help="only this host of the inventory")
    group.addoption(
        "--settle", type=float, default=10, metavar="SECONDS",
        help="how long every service must keep its process, default 10",
    )  # fmt: skip
    group.addoption(
        "--disruptive", dest="disruptive", action="store_true", default=None,
        help="also restart every service, default only where the environment is 'lab'",
    )  # fmt: skip
    group.addoption("--no-disruptive", dest="disruptive", action="store_false", help="never restart anything")
    group.addoption(
        "--no-receipt", dest="receipt", action="store_false", default=True,
        help="keep no receipt of a whole run; part of one never has any",
    )  # fmt: skip


def pytest_configure(config: pytest.Config) -> None:
    """Name the markers; show what failed and not how the suite came there."""
    if config.option.tbstyle == "auto":
        config.option.tbstyle = "short"
    config.addinivalue_line("markers", "disruptive: restarts every service of an app")
    config.addinivalue_line("markers", "only(what): for apps or services that have this, such as 'health'")


def pytest_sessionstart(session: pytest.Session) -> None:
    """Read the inventory before anything else, and stop here when there is nothing that could be proven."""
    config = session.config
    inventory = config.getoption("--inventory", None)
    if inventory is None:
        raise pytest.UsageError(f"the acceptance suite needs an inventory: {USAGE}")
    try:
        declared = read(inventory, config.getoption("--limit"))
    except (InventoryError, SettingsError) as error:
        raise pytest.UsageError(str(error)) from None
    config.stash[FLEET] = Fleet(declared, Path(tempfile.mkdtemp(prefix="acceptance-")))
    config.stash[RESULTS] = {}
    config.pluginmanager.register(_Results(config.stash[RESULTS]))


class _Results:
    """Notes how each check came out."""

    def __init__(self, results: dict[str, str]) -> None:
        self.results = results

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        check = report.nodeid.rpartition("acceptance/")[2]
        if report.when == "call" or report.outcome != "passed":
            # A check that passed and whose end failed has failed.
            self.results[check] = report.outcome


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Keep a receipt of a whole run; close all connections."""
    config = session.config
    fleet = config.stash.get(FLEET, None)
    if fleet is None:
        return
    try:
        config.stash[RECEIPT] = _receipt(config, fleet, exitstatus)
    finally:
        fleet.close()


def _receipt(config: pytest.Config, fleet: Fleet, exitstatus: int) -> str:
    """Keep the receipt where one is due, and say which it is, or why there is none."""
    if not config.getoption("receipt") or hasattr(config, "workerinput"):
        return "no receipt was asked for"
    if exitstatus not in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED):
        return "no receipt: the run was not whole"
    chosen = [
        one
        for one in ("limit", "keyword", "markexpr", "lf", "deselect", "ignore")
        if config.getoption(one, None)
    ]
    whole = [Path(str(one)).resolve() for one in config.args] == [Path(__file__).parent]
    if chosen or not whole:
        return "no receipt: only part of the checks, or of the hosts, was looked at"
    try:
        made = written(
            fleet, str(config.getoption("--inventory")), config.stash[RESULTS], config.stash.get(LEFT_OUT, [])
        )
    except (AssertionError, OSError, PyinfraError, subprocess.SubprocessError) as error:
        return f"no receipt could be kept: {error}"
    return f"receipt {made.id}: {'green' if made.green else 'red'}" + "".join(
        f"; {one}" for one in made.problems
    )


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Give each test its hosts, apps, services or packages, with ids that name them."""
    fleet = metafunc.config.stash.get(FLEET, None)
    if fleet is None:
        raise pytest.UsageError(f"the acceptance suite runs by itself: {USAGE}")
    names = set(metafunc.fixturenames)
    if "declared" not in names:
        return
    kind = next((one for one in ("package", "service", "app") if one in names), None)
    only = [mark.args[0] for mark in metafunc.definition.iter_markers("only")]
    rows = [
        (declared, *things)
        for declared in fleet.declared
        for things in _things(kind, declared)
        if all(getattr(things[-1], what) not in (None, False) for what in only)
    ]
    arguments = {"service": ["app", "service"], None: []}.get(kind, [kind])
    metafunc.parametrize(["declared", *arguments], rows, ids=["-".join(map(_label, row)) for row in rows])


def _things(kind: str | None, declared: DeclaredHost) -> list[tuple[Any, ...]]:
    apps = declared.settings.all_apps()
    if kind == "app":
        return [(app,) for app in apps]
    if kind == "service":
        return [(app, service) for app in apps for service in declared.services(app)]
    if kind == "package":
        return [(package,) for package in sorted({*BASE_PACKAGES, *declared.settings.packages})]
    return [()]


def _label(thing: Any) -> str:
    return str(getattr(thing, "key", None) or getattr(thing, "name", None) or thing)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Order the tests, and take out what would restart services where that was not asked for."""
    fleet = config.stash.get(FLEET, None)
    if fleet is None:
        return
    # A test of the suite without a host, app or service, when there is none, is shown as skipped.
    mine = [
        item
        for item in items
        if isinstance(item, pytest.Function) and hasattr(item, "callspec") and _has_host(item)
    ]
    places = {declared.name: place for place, declared in enumerate(fleet.declared)}

    def when(item: pytest.Function) -> tuple[int, int]:
        return LATE.get(item.path.stem, 0), places[_declared(item).name]

    mine.sort(key=when)
    out = [item for item in mine if item.get_closest_marker("disruptive") and not _may_disrupt(config, item)]
    others = [item for item in items if item not in mine]
    items[:] = [*others, *(item for item in mine if item not in out)]
    config.stash[LEFT_OUT] = sorted({re.sub(r"\[.*", "", item.nodeid) for item in out})
    if out:
        config.hook.pytest_deselected(items=out)


def _has_host(item: pytest.Function) -> bool:
    return isinstance(item.callspec.params.get("declared"), DeclaredHost)


def _declared(item: pytest.Function) -> DeclaredHost:
    declared = item.callspec.params["declared"]
    assert isinstance(declared, DeclaredHost)
    return declared


def _may_disrupt(config: pytest.Config, item: pytest.Function) -> bool:
    asked = config.getoption("disruptive")
    return bool(asked) if asked is not None else _declared(item).settings.environment == "lab"


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, exitstatus: int, config: pytest.Config
) -> None:
    """Say which hosts were looked at, and what was not proven."""
    fleet = config.stash.get(FLEET, None)
    if fleet is None:
        return
    names = ", ".join(declared.name for declared in fleet.declared)
    terminalreporter.write_line(f"{config.getoption('--inventory')}: {names}")
    terminalreporter.write_line(config.stash.get(RECEIPT, "no receipt"))
    left_out = config.stash.get(LEFT_OUT, [])
    if left_out:
        terminalreporter.section("not proven", yellow=True)
        terminalreporter.write_line("These would have restarted every service; add --disruptive:")
        for nodeid in left_out:
            terminalreporter.write_line(f"  {nodeid}")


@pytest.fixture
def fleet(request: pytest.FixtureRequest) -> Fleet:
    """All hosts of this run."""
    return request.config.stash[FLEET]


@pytest.fixture(autouse=True, scope="session")
def _begun(request: pytest.FixtureRequest) -> None:
    # The clock of `--settle` starts here, so that the other tests fill the wait.
    request.config.stash[FLEET].begin()


@pytest.fixture
def remote(fleet: Fleet, declared: DeclaredHost) -> Remote:
    """One host over SSH; a host that cannot be reached fails the test."""
    problem = fleet.problems.get(declared.name)
    if problem is not None:
        pytest.fail(problem, pytrace=False)
    return fleet.remotes[declared.name]


@pytest.fixture
def host(remote: Remote) -> Host:
    """One host as testinfra sees it, as root."""
    return remote.host


@pytest.fixture
def settings(declared: DeclaredHost) -> Settings:
    """What is declared for the host."""
    return declared.settings


@pytest.fixture
def view(fleet: Fleet, remote: Remote) -> HostView:
    """What was gathered from the host, a round trip for each kind of thing."""
    return fleet.views[remote.declared.name]


@pytest.fixture
def settle(request: pytest.FixtureRequest) -> float:
    """Seconds for which every service must keep its process."""
    return float(request.config.getoption("--settle"))
