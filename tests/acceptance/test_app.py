"""The app's places: user, owners and modes, secrets, environment file, configuration, release."""

from __future__ import annotations

import re

import pytest

from declared import DeclaredHost
from env_example import text
from settings.app import App
from tests.acceptance.remote import Host, Remote
from tests.acceptance.view import HostView

# Where a secret could have been left behind: the configuration, the app, logs, temporary files, homes.
SEARCHED = [
    "/etc", "/opt", "/usr/local", "/var/lib/hostwright", "/var/log", "/var/tmp", "/tmp", "/run",
    "/root", "/home",
]  # fmt: skip

# An app that works writes its data more often than this.


def test_service_user(declared: DeclaredHost, app: App, host: Host) -> None:
    """The service user exists, is not root, and nobody logs in as it."""
    user = host.user(app.service_user)
    assert user.exists
    assert user.uid != 0
    assert user.shell in ("/usr/sbin/nologin", "/sbin/nologin", "/bin/false")
    assert re.fullmatch(r"[!*]*", user.password), f"{app.service_user} has a password"


def test_code_belongs_to_root(declared: DeclaredHost, app: App, view: HostView) -> None:
    """Code, its place, and what systemd and logrotate read belong to root."""
    found = view.places(app)
    root = ["root", "root"]
    assert found[app.root] == ["directory", *root, "0755"]
    assert found[f"{app.root}/releases"] == ["directory", *root, "0755"]
    assert found[f"{app.root}/venvs"] == ["directory", *root, "0755"]
    assert found[f"{app.root}/parts"] == ["directory", *root, "0755"]
    assert found[app.shared_root] == ["directory", *root, "0755"]
    for unit in app.units:
        assert found[f"/etc/systemd/system/{unit}"] == ["file", *root, "0644"]
    assert found[f"/etc/logrotate.d/{app.key}"] == (["file", *root, "0644"] if app.supervised else None)
    assert found[f"/usr/local/bin/{app.key}-restart"] == ["file", *root, "0755"]
    current = found[f"{app.root}/current"]
    assert current is not None
    assert current[:3] == ["link", *root]


def test_service_user_cannot_change_the_code(declared: DeclaredHost, app: App, remote: Remote) -> None:
    """Nothing in the releases and virtual environments can be changed by the user that runs them."""
    about = {
        "user": app.service_user,
        "places": [f"{app.root}/releases", f"{app.root}/parts", f"{app.root}/venvs"],
    }
    found = remote.look("writable.py", about)
    assert found["count"] > 0
    assert found["found"] == []


def test_shared_directories(declared: DeclaredHost, app: App, view: HostView) -> None:
    """Data and logs belong to the service user and are closed to everybody else."""
    found = view.places(app)
    wanted = ["directory", app.service_user, app.service_user, "0750"]
    wrong = {path: found[f"{app.shared_root}/{path}"] for path in app.shared
             if found[f"{app.shared_root}/{path}"] != wanted}  # fmt: skip
    assert not wrong


def test_secrets_are_root_only(declared: DeclaredHost, app: App, view: HostView) -> None:
    """The directory of secrets and each file in it are root's alone."""
    found = view.places(app)
    assert found[app.secrets_root] == ["directory", "root", "root", "0700"]
    wrong = {key: found[f"{app.secrets_root}/{key}"] for key in app.secrets
             if found[f"{app.secrets_root}/{key}"] != ["file", "root", "root", "0600"]}  # fmt: skip
    assert not wrong


def test_secrets_are_nowhere_else(declared: DeclaredHost, app: App, remote: Remote) -> None:
    """No other file, and no command line of a process, holds a secret of the app."""
    if not app.secrets:
        pytest.skip(f"{app.key} declares no secrets")
    about = {
        "allowed": [app.env_file, *app.secret_paths], "places": SEARCHED,
        "secrets_root": app.secrets_root, "secrets": list(app.secrets),
    }  # fmt: skip
    assert remote.look("leaks.py", about)["found"] == []


def test_env_file_is_root_only(declared: DeclaredHost, app: App, view: HostView) -> None:
    """The environment file is root's alone: systemd reads it before it becomes the service user."""
    assert view.places(app)[app.env_file] == ["file", "root", "root", "0600"]


def test_env_file_has_the_declared_variables(declared: DeclaredHost, app: App, view: HostView) -> None:
    """Exactly the declared variables, each with its value; secrets as they are kept on the host."""
    assert view.environment(app)["file"] == {"missing": [], "undeclared": [], "different": []}


@pytest.mark.only("env_example")
def test_env_example_names_the_same(declared: DeclaredHost, app: App, remote: Remote) -> None:
    """The example that came with the release names exactly the declared variables."""
    done = remote.run("cat", f"{app.root}/current/{app.env_example}")
    assert done.returncode == 0, done.stderr
    assert text.findings(done.stdout, app.variables) == []


def test_secret_files(declared: DeclaredHost, app: App, view: HostView, remote: Remote) -> None:
    """The app's JSON files are the service user's alone, and hold what is declared, secrets put in."""
    if not app.secret_files:
        pytest.skip(f"{app.key} declares nothing under 'secret_files'")
    wanted = ["file", app.service_user, app.service_user, "0600"]
    found = view.places(app)
    assert {path: found[path] for path in app.secret_paths} == dict.fromkeys(app.secret_paths, wanted)
    about = {
        "secrets_root": app.secrets_root,
        "files": {f"{app.config_root}/{path}": one.content for path, one in app.secret_files.items()},
    }
    assert remote.look("json_files.py", about)["different"] == []


def test_config_files(declared: DeclaredHost, app: App, view: HostView) -> None:
    """The app's configuration files are there, readable by the service user and not writable by it."""
    found = view.places(app)
    assert found[app.config_root] == ["directory", "root", app.service_user, "0750"]
    wrong = {path: found[f"{app.config_root}/{path}"] for path in app.config_files
             if found[f"{app.config_root}/{path}"] != ["file", "root", app.service_user, "0640"]}  # fmt: skip
    assert not wrong


def test_releases_are_within_the_limit(declared: DeclaredHost, app: App, remote: Remote) -> None:
    """No more releases than declared are kept beside the current one, but for those that parts lie in."""
    done = remote.run("ls", f"{app.root}/releases")
    assert done.returncode == 0, done.stderr
    parts = remote.run("find", f"{app.root}/parts", "-type", "l", "-printf", "%l\n")
    assert parts.returncode == 0, parts.stderr
    held = {line.rpartition("/")[2] for line in parts.stdout.splitlines()}
    assert done.stdout.split()
    assert len({*done.stdout.split()} - held) <= app.keep_releases + 1


def test_data_files_are_being_produced(declared: DeclaredHost, app: App, remote: Remote) -> None:
    """Each directory that is declared to produce files has a new one, and every JSON file in it is whole."""
    if not app.produces:
        pytest.skip(f"{app.key} declares nothing under 'produces'")
    places = {f"{app.shared_root}/{path}": seconds for path, seconds in app.produces.items()}
    found = remote.look("fresh.py", list(places))
    assert [line for one in found.values() for line in one["broken"]] == []
    ages = {place: one["age"] for place, one in found.items()}
    assert {place: age for place, age in ages.items() if age is None or age > places[place]} == {}
