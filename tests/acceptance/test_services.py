"""The services: running, staying so, as the right user, from the right release, answering, without errors."""

from __future__ import annotations

import urllib.error
import urllib.request

import pytest

from declared import DeclaredHost, Service
from settings.app import App
from tests.acceptance.remote import Host, Remote
from tests.acceptance.view import HostView

PAGE_SECONDS = 5


def test_unit_is_active_and_starts_at_boot(declared: DeclaredHost, app: App, view: HostView) -> None:
    """The app's units run as the service user, come back at boot, and are those that their files describe."""
    units = view.processes(app)["units"]
    assert sorted(units) == sorted(app.units)
    for unit in units.values():
        assert (unit["ActiveState"], unit["UnitFileState"]) == ("active", "enabled")
        assert unit["User"] == app.service_user
        assert unit["NeedDaemonReload"] == "no"


def test_no_other_units(declared: DeclaredHost, app: App, view: HostView) -> None:
    """No unit of a service that is no longer declared is left."""
    assert view.processes(app)["own_units"] == ([] if app.supervised else sorted(app.units))


@pytest.mark.only("supervised")
def test_supervisor_runs_the_declared_services(declared: DeclaredHost, app: App, view: HostView) -> None:
    """Supervisor knows exactly the declared services."""
    assert sorted(view.processes(app)["services"]) == sorted(app.services)


def test_status_command_says_running(declared: DeclaredHost, app: App, remote: Remote) -> None:
    """What a person would type at night shows everything RUNNING."""
    done = remote.run(f"/usr/local/bin/{app.key}-status")
    assert done.returncode == 0, done.stdout
    states = {line.split()[0]: line.split()[1] for line in done.stdout.splitlines()[:-1]}
    assert states == dict.fromkeys(app.services, "RUNNING")


@pytest.mark.only("supervised")
def test_supervisorctl_says_running(declared: DeclaredHost, app: App, remote: Remote) -> None:
    """What a person would type, with the configuration's absolute path, shows everything RUNNING."""
    done = remote.run("supervisorctl", "-c", app.supervisor_config, "status")
    states = {line.split()[0]: line.split()[1] for line in done.stdout.splitlines() if line.strip()}
    assert done.returncode == 0, done.stdout
    assert states == dict.fromkeys(app.services, "RUNNING")


def test_nothing_of_the_app_runs_as_root(declared: DeclaredHost, app: App, view: HostView) -> None:
    """Every process of the app, supervisor included, is the service user's and has no privilege."""
    found = view.processes(app)
    assert found["processes"], f"{', '.join(app.units)}: no process"
    wrong = [f"{one['pid']} {one['command']}: {', '.join(one['users'])}" for one in found["processes"]
             if one["users"] != [app.service_user] or int(one["capabilities"], 16) != 0]  # fmt: skip
    strangers = [f"{one['pid']} {one['command']}: {', '.join(one['users'])}" for one in found["strangers"]]
    assert (wrong, strangers) == ([], [])


@pytest.mark.only("supervised")
def test_socket_is_private(declared: DeclaredHost, app: App, view: HostView) -> None:
    """Only root and the service user give orders to the app's supervisor."""
    socket = view.places(app)[f"/run/{app.key}/supervisor.sock"]
    assert socket is not None
    assert socket[:2] == ["socket", app.service_user]
    assert socket[3].endswith("0"), socket


def test_service_runs_the_current_release(
    declared: DeclaredHost, app: App, service: Service, view: HostView
) -> None:
    """The process stands in its part of the current release: the code that was deployed is what runs."""
    found = view.processes(app)["services"][service.key]
    assert found["process"] is not None, found["why"]
    assert found["process"]["cwd"] == found["stands"]


def test_service_has_the_declared_variables(
    declared: DeclaredHost, app: App, service: Service, view: HostView
) -> None:
    """The process was started with the declared variables: a newer file that it never read does not count."""
    found = view.environment(app)["services"][service.key]
    assert found == {"missing": [], "undeclared": [], "different": []}


@pytest.mark.only("health")
def test_health_answers(declared: DeclaredHost, app: App, service: Service, view: HostView) -> None:
    """The health page answers 200 on the host."""
    status, text = view.pages(app)[service.key, str(service.health)]
    assert status == 200, text[:300]


@pytest.mark.only("public_health")
def test_health_answers_from_outside(declared: DeclaredHost, app: App, service: Service) -> None:
    """The health page of a public service answers 200 to this machine."""
    url = f"http://{declared.address}:{service.port}{service.health}"
    # No proxy: it is this machine's own way to the host that counts.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(url, timeout=PAGE_SECONDS) as reply:
            status = reply.status
    except urllib.error.HTTPError as error:
        status = error.code
    except OSError as error:
        pytest.fail(f"{url}: {error}", pytrace=False)
    assert status == 200


@pytest.mark.only("page_contains")
def test_page_contains(declared: DeclaredHost, app: App, service: Service, view: HostView) -> None:
    """The page has the declared text."""
    status, text = view.pages(app)[service.key, "/"]
    assert status == 200
    assert service.page_contains is not None
    assert service.page_contains in text


def test_log_has_no_errors(declared: DeclaredHost, app: App, service: Service, view: HostView) -> None:
    """The service wrote to its log, and no line of error since its process began."""
    found = view.logs(app)[service.key]
    assert found, "it has no log"
    if app.supervised:
        assert all(path.startswith(f"{app.log_root}/") for path in found)
    else:
        assert found["journal"]["bytes"] > 0, "it said nothing since it was started"
    assert [line for log in found.values() for line in log["lines"]] == []


def test_logrotate_runs_daily(declared: DeclaredHost, host: Host) -> None:
    """Something starts logrotate every day."""
    assert host.service("logrotate.timer").is_enabled
    assert host.service("logrotate.timer").is_running


def test_service_is_running_and_stays(
    declared: DeclaredHost, app: App, service: Service, view: HostView, settle: float
) -> None:
    """The service is RUNNING, in the same process as some seconds ago."""
    before, after = view.first(app), view.settled(app, settle)
    assert after[service.key]["state"] == "RUNNING"
    assert after[service.key] == before[service.key]
