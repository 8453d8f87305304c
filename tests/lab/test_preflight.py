"""A host that cannot take what is declared for it is told so, with all that is wrong, and is left alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from facts.script import text
from tests.lab import warm
from tests.lab.playbook import LabHost, eventually, fingerprint, shell
from tests.lab.project import Deployed, copy

pytestmark = pytest.mark.parametrize("lab_host", ["bookworm"], indirect=True, scope="module")


def refused(deployed: Deployed, *flags: str) -> str:
    code, out, error = warm.run(
        deployed.command("-y", *flags)[1:], cwd=deployed.project, env=deployed.environ(), timeout=300
    )
    said = " ".join((out + error).split())
    assert code == 1, said
    return said


def test_all_that_is_wrong_at_once(lab_host: LabHost, tmp_path: Path) -> None:
    deployed = Deployed(lab_host, "root", copy(tmp_path))
    knobs = deployed.project / "group_data" / "all.py"
    least = '"minimum": {"cpus": 1, "memory": "1G", "disk": "5G"}'
    assert least in knobs.read_text()
    knobs.write_text(
        knobs.read_text().replace(least, '"minimum": {"cpus": 500, "memory": "9T", "disk": "9T"}')
    )
    shell(lab_host, "sed -i 's/^VERSION_ID=.*/VERSION_ID=\"11\"/' /etc/os-release")
    shell(lab_host, "systemd-run -q --unit=other python3 -m http.server 3000")
    eventually(lambda: "3000" in shell(lab_host, "ss -Hltn 'sport = :3000'"))
    # By nobody's login: one that ends would tell that its run was cut off. From a file: of the words that it
    # starts, systemd replaces ${...} by itself.
    shell(lab_host, "cat >/root/run-lock.sh", stdin=text("run-lock.sh"))
    take = "sh /root/run-lock.sh take run-1 600 ann@desk 'deploy.py (lab)' any"
    shell(lab_host, f"systemd-run -q --wait {take}")
    sources = "$(find /etc/apt/sources.list /etc/apt/sources.list.d -type f)"
    shell(lab_host, f"sed -i 's,https*://[^/]*,http://127.0.0.1:9,' {sources}")
    before = fingerprint(lab_host, "/etc", "/opt", "/usr/local", "/var/lib", "/var/log/hostwright")
    said = refused(deployed)
    for finding in (
        "preflight: this cannot go well; no host was touched",
        f"{lab_host.name}: the system is debian 11",
        "wants 500; resize the host",
        "apps.rec_io.minimum.memory wants 9216.0 GiB",
        "apps.rec_io.minimum.disk wants 9216.0 GiB",
        "port 3000 (apps.rec_io.services.main_app.port) is held by python3",
        "of other.service; stop that",
        "the package archive http://127.0.0.1:9/",
        "ann@desk has been running deploy.py (lab) here since",
        "wait for it with --data wait=600",
    ):
        assert finding in said, f"{finding!r} is not in: {said}"
    after = fingerprint(lab_host, "/etc", "/opt", "/usr/local", "/var/lib", "/var/log/hostwright")
    assert {path for path in before if before[path] != after.get(path)} == set()
    assert shell(lab_host, "ls /opt") == ""
    # The same once more, asked in one go now, of a host that has lost its Python; and one that waits.
    shell(lab_host, "mv /usr/bin/python3 /usr/bin/away")
    assert "the system is debian 11" in refused(deployed)
    said = refused(deployed, "--data", "wait=600")
    assert "the system is debian 11" in said
    assert "ann@desk" not in said
