"""A small app of four services that count, and its deploy file: what the tests of services run on a host."""

from __future__ import annotations

import re

from tests.lab.playbook import LabHost, shell, ssh

ROOT = "/opt/lines"
LOGS = f"{ROOT}/shared/logs"
# The quiet one never notices that nobody reads its output any more: only its unit can end it.
SERVICES = {"one": 0.0005, "two": 0.001, "three": 0.01, "quiet": 9999}

WRITER = """
import itertools, sys, time
name, pause = sys.argv[1], float(sys.argv[2])
for number in itertools.count():
    print(name, number, flush=True)
    time.sleep(pause)
"""

DEPLOY = """
import hashlib
from operations import atomic, logrotate, release, supervisor
ROOT, LOGS, WRITER = {root!r}, {logs!r}, {writer!r}

def program(service, words, **options):
    return supervisor.Program(
        service=service, command=words, directory=ROOT, start_seconds=1, start_retries=1,
        stdout_log=LOGS + "/" + service + ".out.log", stderr_log=LOGS + "/" + service + ".err.log", **options,
    )

programs = [
    program(service, ["/usr/bin/python3", ROOT + "/writer.py", service, str(pause)],
            environment={{"LINES_NOTE": "100% 'sure' of " + service}})
    for service, pause in {services!r}.items()
]
files = {{
    "supervisor/" + one.service + ".conf": supervisor.program_text(one) for one in programs
}}
files.update({extra!r})
name = release.identity({sha256!r}, files, {{}})[:12]

atomic.file(name="writer", path=ROOT + "/writer.py", content=WRITER)
atomic.file(name="env", path="/etc/lines/env", content={env!r}, mode="0600")
release.unpacked(name="unpack", app_dir=ROOT, release=name, archive={archive!r}, sha256={sha256!r},
                 files=files, validate=supervisor.program_check())
release.current(name="switch", app_dir=ROOT, release=name)
supervisor.instance(name="instance", app="lines", user="lines", log_dir=LOGS, writable=[ROOT + "/shared"],
                    env_file="/etc/lines/env")
supervisor.updated(name="update", app="lines", timeout=30)
supervisor.commands(name="commands", app="lines")
logrotate.logs(name="logrotate", app="lines", patterns=[LOGS + "/*.log"], user="lines")
"""
ENV = "LINES_TOKEN='a%b'\n"


def prepare(host: LabHost) -> None:
    """Make the app's user and directories, on a host that has the packages of a deploy."""
    shell(
        host,
        "useradd --system --user-group --no-create-home --shell /usr/sbin/nologin lines; "
        f"install -d -m 0755 {ROOT} /etc/lines; install -d -m 0750 -o lines -g lines {ROOT}/shared {LOGS}",
    )


def deploy(archive: tuple[str, str], **options: object) -> str:
    given = {"services": SERVICES, "env": ENV, "extra": {}, **options}
    return DEPLOY.format(
        root=ROOT, logs=LOGS, writer=WRITER, archive=archive[0], sha256=archive[1], **given
    )  # fmt: skip


def pids(host: LabHost) -> dict[str, str]:
    """Return each program's PID from supervisor's own table, by the configuration's absolute path."""
    table = ssh(host, "supervisorctl -c /etc/lines/supervisord.conf status").stdout
    return dict(re.findall(r"^(\S+)\s+RUNNING\s+pid (\d+)", table, re.MULTILINE))


def supervisor_pid(host: LabHost) -> str:
    return shell(host, "systemctl show -P MainPID lines.service")
