"""What was gathered from one host: each kind of thing once, in one round trip, when first asked for."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

from facts.script import text
from settings import SecretReference
from settings.app import App
from tasks import backups
from tests.acceptance.remote import Remote, answers

Pages = dict[tuple[str, str], tuple[int, str]]

QUERIES = Path(__file__).with_name("host")

# What a log says where something went wrong.
ERROR_PATTERNS = [r" ERROR ", r" CRITICAL ", r"Traceback \(most recent call last\)"]


class HostView:
    """
    One host, looked at once for all tests.

    + remote: the connection
    """

    def __init__(self, remote: Remote) -> None:
        self.remote = remote
        self._seen: dict[tuple[str, str], Any] = {}
        self._began = 0.0
        self._ports: dict[int, Future[str]] = {}

    def begin(self) -> None:
        """Note which processes run now, for `settled`, and knock at every port, for `answers`."""
        self._began = time.monotonic()
        settings = self.remote.declared.settings
        ports = {one.port for app in settings.all_apps() for one in app.services.values() if one.port}
        pool = ThreadPoolExecutor(max_workers=len(ports) + 1)
        for port in {*ports, settings.postgresql.port}:
            self._ports[port] = pool.submit(answers, self.remote.declared.address, port)
        pool.shutdown(wait=False)
        for app in self.remote.declared.settings.all_apps():
            try:
                self.first(app)
            except AssertionError:
                continue  # kept: the tests that need it fail with it

    def answers(self, port: int) -> str:
        """Say what became of a connection from this machine to a port: "open", or why it is not."""
        return self._ports[port].result()

    def first(self, app: App) -> Any:
        """Return the services' processes as they were when the run began."""
        return self._once("first", app.key, lambda: self.remote.look("pids.py", whose(app)))

    def settled(self, app: App, seconds: float) -> Any:
        """Return the services' processes as they are, this many seconds or more after the run began."""

        def look() -> Any:
            time.sleep(max(0.0, self._began + seconds - time.monotonic()))
            return self.remote.look("pids.py", whose(app))

        return self._once("settled", app.key, look)

    def processes(self, app: App) -> Any:
        """Return the app's processes, unit and services."""
        about = {**whose(app), "user": app.service_user, "root": app.root}
        return self._once("processes", app.key, lambda: self.remote.look("processes.py", about))

    def environment(self, app: App) -> Any:
        """Return how the app's variables differ from what is declared; no value leaves the host."""
        about = {
            **whose(app),
            "env_file": app.env_file,
            "secrets_root": app.secrets_root,
            "prefix": app.prefix,
            "variables": {
                key: {"secret": value.secret} if isinstance(value, SecretReference) else {"text": value}
                for key, value in app.variables.items()
            },
            "services": {key: dict(one.variables) for key, one in app.services.items()},
        }
        return self._once("environment", app.key, lambda: self.remote.look("environment.py", about))

    def places(self, app: App) -> dict[str, list[str] | None]:
        """Return kind, owner, group and mode of every place of the app."""
        paths = [
            app.root, f"{app.root}/releases", f"{app.root}/venvs", f"{app.root}/current",
            f"{app.root}/parts", app.shared_root, *(f"{app.shared_root}/{path}" for path in app.shared),
            app.config_root, app.secrets_root, *(f"{app.secrets_root}/{key}" for key in app.secrets),
            app.env_file, app.supervisor_config, *(f"{app.config_root}/{path}" for path in app.config_files),
            *(f"/etc/systemd/system/{unit}" for unit in app.units), f"/etc/logrotate.d/{app.key}",
            *app.secret_paths,
            f"/usr/local/bin/{app.key}-restart", f"/run/{app.key}/supervisor.sock",
        ]  # fmt: skip
        found: dict[str, list[str] | None] = self._once(
            "places", app.key, lambda: self.remote.look("places.py", paths)
        )
        return found

    def recovery(self, about: dict[str, Any], *, again: bool = False) -> Any:
        """Return what the host's recovery to a moment looks like."""
        if again:
            self._seen.pop(("recovery", ""), None)
        return self._once("recovery", "", lambda: self.remote.look("recovery.py", about))

    def pages(self, app: App) -> Pages:
        """Return status and text of every page, asked on the host itself, by service and path."""
        found: Pages = self._once("pages", app.key, lambda: self._pages(app))
        return found

    def _pages(self, app: App) -> Pages:
        wanted = [
            [key, one.port, path]
            for key, one in app.services.items()
            for path in (one.health, "/" if one.page_contains else None)
            if path is not None
        ]
        asked = self.remote.look("pages.py", wanted)
        return {(key, path): (status, text) for key, _port, path, status, text in asked}

    def _well_again(self, app: App) -> Pages:
        """Ask until every page answers 200, or for as long as a deploy would wait for that."""
        deadline = time.monotonic() + app.gate_seconds
        while True:
            found = self._pages(app)
            if all(status == 200 for status, _ in found.values()) or time.monotonic() > deadline:
                return found
            time.sleep(0.3)

    def logs(self, app: App) -> Any:
        """Return the lines of error of each service since it began."""
        about = {**whose(app), "patterns": ERROR_PATTERNS}
        return self._once("logs", app.key, lambda: self.remote.look("logs.py", about))

    def packages(self) -> set[str]:
        """Return the packages that are installed, and what they provide."""
        return set(self._once("packages", "", lambda: self.remote.look("packages.py", None)))

    def listeners(self) -> list[tuple[str, str, int, str]]:
        """Return what listens: protocol, address, port, and the processes."""

        def look() -> list[tuple[str, str, int, str]]:
            done = self.remote.run("ss", "-tulnpH")
            if done.returncode != 0:
                raise AssertionError(f"ss: {done.stderr.strip()}")
            return [listener(line) for line in done.stdout.splitlines()]

        found: list[tuple[str, str, int, str]] = self._once("listeners", "", look)
        return found

    def sshd(self) -> dict[str, str]:
        """Return sshd's effective configuration, as sshd itself reads it."""

        def look() -> dict[str, str]:
            done = self.remote.run("/usr/sbin/sshd", "-T")
            if done.returncode != 0:
                raise AssertionError(f"sshd refuses its configuration: {done.stderr.strip()}")
            return dict(line.split(" ", 1) for line in done.stdout.splitlines() if " " in line)

        found: dict[str, str] = self._once("sshd", "", look)
        return found

    def ufw(self) -> dict[str, str]:
        """Return the firewall's state and rules, in its own words."""

        def look() -> dict[str, str]:
            said = {}
            for key, argv in {
                "status": ("ufw", "status", "verbose"),
                "added": ("ufw", "show", "added"),
                "live": ("iptables", "-S"),
            }.items():
                done = self.remote.run(*argv)
                if done.returncode != 0:
                    raise AssertionError(f"{' '.join(argv)}: {done.stderr.strip()}")
                said[key] = done.stdout
            return said

        found: dict[str, str] = self._once("ufw", "", look)
        return found

    def postgresql(self) -> Any:
        """Return the server's settings, where they come from, and who may connect."""
        names = sorted(self.remote.declared.settings.postgresql.effective())
        return self._once("postgresql", "", lambda: self._query("server.sql", "postgres", names))

    def database(self, app: App) -> Any:
        """Return the app's role and database."""
        assert app.database is not None
        about = {"role": app.database.role, "database": app.database.database}
        name = app.database.database
        return self._once("database", app.key, lambda: self._query("database.sql", name, about))

    def monitoring(self, about: dict[str, Any]) -> Any:
        """Return how the host's health and monitoring are: timer, rounds, units, targets, addresses."""
        return self._once("monitoring", "", lambda: self.remote.look("monitoring.py", about))

    def privileges(self, app: App) -> Any:
        """Return the roles of the app's database, who may connect, and whose everything is."""
        mine = app.database
        assert mine is not None
        about = {"owner": mine.owner, "role": mine.role, "reader": mine.reader}
        return self._once("privileges", app.key, lambda: self._query("privileges.sql", mine.database, about))

    def backups(self, app: App) -> Any:
        """Return the timers, the state and the modes of the app's backups."""
        about = {
            "root": app.backup_root,
            "timers": backups.timers_on(app),
            "services": [one.replace(".timer", ".service") for one in backups.timers(app)],
        }
        return self._once("backups", app.key, lambda: self.remote.look("backups.py", about))

    def config_changes(self) -> Any:
        """Return what the guard of configuration files has seen."""
        return self._once("config changes", "", self._config_changes)

    def _config_changes(self) -> Any:
        done = self.remote.run("python3", "-I", "-", "changes", stdin=text("config-guard-control.py"))
        if done.returncode != 0:
            raise AssertionError(f"config-guard-control.py: {done.stderr.strip()}")
        return json.loads(done.stdout)

    def rotation(self, app: App) -> Any:
        """Rotate the app's logs twice under load, and return what became of processes and lines."""
        about = {
            "app": app.key,
            "config": f"/etc/logrotate.d/{app.key}",
            "shared": app.shared_root,
            "run": f"{time.time_ns():x}",
        }
        return self._once("rotation", app.key, lambda: self.remote.look("rotate.py", about))

    def restart(self, app: App) -> dict[str, Any]:
        """Restart everything of the app with its own command; return what was before and after."""

        def look() -> dict[str, Any]:
            places = [app.config_root, f"{app.root}/current"]
            before = self.remote.look("digests.py", places)
            pids = self.remote.look("pids.py", whose(app))
            done = self.remote.run(f"/usr/local/bin/{app.key}-restart")
            return {
                "rc": done.returncode,
                "said": f"{done.stdout}\n{done.stderr}".strip(),
                "pids": (pids, self.remote.look("pids.py", whose(app))),
                "pages": self._well_again(app),
                "files": (before, self.remote.look("digests.py", places)),
                "changes": self._config_changes()["changes"],
            }

        found: dict[str, Any] = self._once("restart", app.key, look)
        return found

    def _query(self, file: str, database: str, about: object) -> Any:
        return self.remote.sql((QUERIES / file).read_text(encoding="utf-8"), database, about)

    def _once(self, key: str, app: str, look: Callable[[], Any]) -> Any:
        if (key, app) not in self._seen:
            try:
                self._seen[key, app] = look()
            except AssertionError as error:
                self._seen[key, app] = error
        found = self._seen[key, app]
        if isinstance(found, AssertionError):
            raise AssertionError(str(found))
        return found


def whose(app: App) -> dict[str, Any]:
    """Return what the programs of `host/` ask of an app: its name, and its units where systemd runs it."""
    units = None if app.supervised else {label: app.service_unit(label) for label in app.services}
    return {"app": app.key, "units": units}


def listener(line: str) -> tuple[str, str, int, str]:
    """Read one line of `ss -tulnpH`: protocol, address, port, and the processes."""
    fields = line.split(maxsplit=6)
    address, _, port = fields[4].rpartition(":")
    address = address.partition("%")[0].strip("[]")
    return fields[0], address, int(port), fields[6] if len(fields) > 6 else ""
