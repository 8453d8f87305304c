"""
The main job on a fresh host: deploy.py twice, cut off, changed, rebooted; every line measured on the host.

One host of each image, and the tests in order: each goes on from what the one before left. Debian 12 is
deployed by root, Debian 13 by a login with sudo.
"""

from __future__ import annotations

import json
import re
import signal
import subprocess
import time
import urllib.request

import pytest

import lab
from tests.lab.playbook import LabHost, shell, ssh
from tests.lab.project import GIVEN, GIVEN_VARIABLE, STATUS, Deployed, copy, state

# Where the database's password may stand in plain text on the host: root's files alone.
SECRET = "/etc/rec_io/secrets/db_password"
SECRET_FILES = {"/etc/rec_io/env", SECRET}
# What hostwright itself decides, alike on every image, is looked at on one.
ON_ONE = pytest.mark.parametrize("lab_host", ["bookworm"], indirect=True, scope="module")
SECONDS_BEFORE_KILL = 12
SECONDS_UNTIL_WELL, SECONDS_UNTIL_UP = 60, 240
# Half of a request, and then another connection's, which is answered once the first one is over.
HANGS_UP = """
import socket, time, urllib.request
line = socket.create_connection(("127.0.0.1", 4000))
line.sendall(b"POST /trades HTTP/1.1\\r\\nHost: x\\r\\nContent-Length: 99\\r\\n\\r\\n{")
time.sleep(0.5)
line.close()
time.sleep(0.5)
urllib.request.urlopen("http://127.0.0.1:4000/trades", timeout=60).read()
"""


def password(host: LabHost) -> str:
    found = shell(host, f"cat {SECRET}")
    assert len(found) == 40
    return found


@pytest.fixture(scope="module")
def deployed(lab_host: LabHost, tmp_path_factory: pytest.TempPathFactory) -> Deployed:
    """
    Deploy to a fresh host from a copy of the project: once killed half way, then to its end at -vvv.

    The host's process list is recorded all the while.
    """
    project = copy(tmp_path_factory.mktemp("clone"))
    result = Deployed(lab_host, "root" if lab_host.image == "bookworm" else "admin", project)

    process = result.start("-y")
    time.sleep(SECONDS_BEFORE_KILL)
    assert process.poll() is None, "the first run ended before it could be cut off"
    process.send_signal(signal.SIGKILL)
    process.communicate()

    # Into a file: a pipe that nobody empties would stop it.
    processes = tmp_path_factory.mktemp("recorder") / "processes"
    with processes.open("w") as file:
        recorder = subprocess.Popen(
            lab.find(lab_host.name).ssh("while ps -eww -o args; do sleep 0.05; done"), stdout=file
        )
        try:
            result.run("-y", "-vvv", "--debug")
        finally:
            recorder.kill()
            recorder.wait()
    result.notes["processes"] = processes.read_text(errors="replace")
    return result


def test_everything_runs_after_an_interrupted_and_a_whole_run(deployed: Deployed) -> None:
    lines = shell(deployed.host, STATUS).splitlines()
    assert len(lines) == 12
    assert all("RUNNING" in line for line in lines), lines
    owners = set(shell(deployed.host, "ps -o user= -C python,supervisord | sort -u").split())
    assert owners == {"trader"}


def test_no_secret_in_output_process_list_or_other_files(deployed: Deployed) -> None:
    secret = password(deployed.host)
    assert deployed.notes["processes"].count("ps -eww -o args\n") > 100, (
        "the recorder saw too little to mean anything"
    )
    assert secret not in deployed.notes["processes"]
    assert "] >>> " in deployed.output, "this was no -vvv output"
    assert secret not in deployed.output
    found = ssh(
        deployed.host,
        f"grep -rlsF --exclude-dir=proc --exclude-dir=sys --exclude-dir=dev -f {SECRET} /; "
        f"journalctl --no-pager | grep -F -f {SECRET}",
        timeout=300,
    ).stdout
    assert set(found.split()) == SECRET_FILES
    modes = shell(deployed.host, f"stat -c '%a %U' {' '.join(sorted(SECRET_FILES))}").splitlines()
    assert modes == ["600 root", "600 root"]


def test_the_second_run_changes_nothing(deployed: Deployed) -> None:
    before = state(deployed.host)
    assert deployed.changed() == []
    assert state(deployed.host) == before


def test_the_other_login_sees_the_same_state(deployed: Deployed) -> None:
    other = "admin" if deployed.user == "root" else "root"
    before = state(deployed.host)
    assert deployed.changed(user=other) == []
    assert state(deployed.host) == before


@ON_ONE
def test_the_plan_of_a_converged_host_is_empty(deployed: Deployed) -> None:
    plan = json.loads(deployed.run("--dry", "--json"))["plan"]
    assert len(plan) > 20
    assert [one["name"] for one in plan if one["hosts_with_change"]] == []


@ON_ONE
def test_drift_is_put_right_and_nothing_else_touched(deployed: Deployed) -> None:
    before = state(deployed.host)
    shell(deployed.host, "chmod 0644 /etc/rec_io/env; echo '# drift' >>/etc/logrotate.d/rec_io")
    shell(deployed.host, f"{STATUS.replace('status', 'stop')} live_data_writer")
    changed = deployed.changed()
    # What was changed was on trial, and a trial ends with the first three.
    layers = ["Configuration accepted", "Confirm", "Gates", "Logs", "Secrets", "Services"]
    assert sorted(name.split(" | ")[0] for name in changed) == layers
    after = state(deployed.host)
    different = {
        key for key in before if before[key] != after[key] and not key.startswith("/var/lib/hostwright")
    }
    assert different <= {
        "/etc/rec_io", "/etc/rec_io/env", "/etc/logrotate.d", "/etc/logrotate.d/rec_io", "supervised",
    }  # fmt: skip
    others = [line for line in after["supervised"].splitlines() if not line.startswith("live_data_writer")]
    assert set(others) < set(before["supervised"].splitlines()), "a service that nobody touched was restarted"


@ON_ONE
def test_a_new_release_is_switched_to_and_installs_nothing(deployed: Deployed) -> None:
    first = shell(deployed.host, "readlink /opt/rec_io/current")
    with (deployed.project / "examples/rec_io/config.default.json").open("r+") as file:
        config = json.load(file)
        file.seek(0)
        json.dump(config, file)  # the same values in other bytes
        file.truncate()
    changed = deployed.changed()
    second = shell(deployed.host, "readlink /opt/rec_io/current")
    assert second != first
    assert not [name for name in changed if "Install the packages" in name]
    assert shell(deployed.host, "ls /opt/rec_io/releases | wc -l") == "2"
    working_directories = set(
        shell(deployed.host, "for p in $(pgrep -u trader -x python); do readlink /proc/$p/cwd; done").split()
    )
    assert working_directories == {f"/opt/rec_io/{second}"}
    assert deployed.changed() == []


@ON_ONE
def test_who_hangs_up_in_the_middle_is_no_error(deployed: Deployed) -> None:
    """Services that are restarted hang up on others: no gate may take that for an error."""
    log = "/opt/rec_io/shared/logs/trade_manager.log"
    before = shell(deployed.host, f"grep -c ERROR {log} || :")
    shell(deployed.host, "python3 -", stdin=HANGS_UP)
    assert shell(deployed.host, f"grep -c ERROR {log} || :") == before, shell(deployed.host, f"tail {log}")


@ON_ONE
def test_what_changed_of_one_service_restarts_that_one_alone(deployed: Deployed) -> None:
    def pids() -> dict[str, str]:
        return dict(re.findall(r"^(\S+) +RUNNING +pid (\d+)", shell(deployed.host, STATUS), re.MULTILINE))

    def restarted() -> set[str]:
        before = pids()
        deployed.changed()
        after = pids()
        assert set(after) == set(before)
        assert "11 of 12 services of rec_io were left as they run" in deployed.output
        return {one for one in after if after[one] != before[one]}

    with (deployed.project / "examples/rec_io/backend/services/symbol_price_feed.py").open("a") as file:
        file.write("# changed\n")
    assert restarted() == {"symbol_price_feed"}
    assert "symbol_price_feed restarted: its code changed\n" in deployed.output
    with (deployed.project / "group_data" / "lab.py").open("a") as file:
        file.write("overrides['apps'] = {'rec_io': {'services': {'trade_manager': {'start_seconds': 2}}}}\n")
    assert restarted() == {"trade_manager"}
    assert "trade_manager restarted: its configuration changed (startsecs)\n" in deployed.output
    assert deployed.changed() == []


@ON_ONE
def test_a_release_cut_off_half_way_is_finished_by_the_next_run(deployed: Deployed) -> None:
    # One of the files that all services use, so that each is restarted.
    marker = deployed.project / "examples" / "rec_io" / "backend" / "notes.py"
    for seconds in (2.0, 2.8, 3.6):
        marker.write_text(f"# cut off after {seconds} s\n")
        process = deployed.start("-y")
        time.sleep(seconds)
        process.kill()
        process.communicate()
        # It may have been cut off while they were stopped; none is lost.
        lines = ssh(deployed.host, STATUS).stdout.splitlines()
        assert len(lines) == 12, lines
    deployed.changed()
    assert deployed.changed() == []
    assert shell(deployed.host, "cat /opt/rec_io/current/backend/notes.py") == marker.read_text().strip()
    assert all("RUNNING" in line for line in shell(deployed.host, STATUS).splitlines())


@ON_ONE
def test_a_changed_variable_reaches_every_service(deployed: Deployed) -> None:
    with (deployed.project / "group_data" / "lab.py").open("a") as file:
        file.write("overrides['apps'] = {'rec_io': {'variables': {'REC_ACCOUNT_MODE': 'prod'}}}\n")
    before = set(shell(deployed.host, f"{STATUS} | awk '{{print $4}}'").split())
    deployed.changed()
    pids = shell(deployed.host, f"{STATUS} | awk '{{print $4}}' | tr -d ,").split()
    assert not before & {f"{pid}," for pid in pids}
    for pid in pids:
        assert "REC_ACCOUNT_MODE=prod" in shell(deployed.host, f"tr '\\0' '\\n' </proc/{pid}/environ")
    assert deployed.changed() == []


@ON_ONE
def test_a_given_secret_replaces_the_generated_one_and_shows_nowhere(deployed: Deployed) -> None:
    with (deployed.project / "group_data" / "lab.py").open("a") as file:
        source = {"db_password": {"source": "environment", "variable": GIVEN_VARIABLE}}
        file.write(f"overrides['apps']['rec_io']['secrets'] = {source!r}\n")
    deployed.run("-y", "-vvv", "--debug", "--diff")
    assert "] >>> " in deployed.output
    for part in (GIVEN, "corréct", "h0rse"):
        assert part not in deployed.output
    assert shell(deployed.host, f"cat {SECRET}") == GIVEN
    for pid in shell(deployed.host, f"{STATUS} | awk '{{print $4}}' | tr -d ,").split():
        assert (
            f"REC_DB_PASS={GIVEN}"
            in shell(deployed.host, f"tr '\\0' '\\n' </proc/{pid}/environ").splitlines()
        )
    _wait_for_health(deployed.host)
    assert deployed.changed() == []


def _wait_for_health(host: LabHost) -> None:
    """Ask the page that is 200 only with the database; a service that just started gets a moment."""
    deadline = time.monotonic() + SECONDS_UNTIL_WELL
    while True:
        try:
            with urllib.request.urlopen(f"http://{host.address}:3000/health", timeout=5) as answer:
                assert json.load(answer)["status"] == "healthy"
                return
        except OSError:
            assert time.monotonic() < deadline, f"/health did not answer 200 within {SECONDS_UNTIL_WELL} s"
            time.sleep(0.5)


def test_everything_comes_back_after_a_reboot(deployed: Deployed) -> None:
    boot = shell(deployed.host, "cat /proc/sys/kernel/random/boot_id; stat -c %Y /proc/1")
    ssh(deployed.host, "systemctl reboot")
    deadline = time.monotonic() + SECONDS_UNTIL_UP
    while True:
        done = ssh(deployed.host, f"stat -c %Y /proc/1; {STATUS}")
        running = done.stdout.count("RUNNING")
        if done.returncode == 0 and running == 12 and done.stdout.split()[0] not in boot.split():
            break
        assert time.monotonic() < deadline, (
            f"{running} of 12 services after {SECONDS_UNTIL_UP} s:\n{done.stdout}{done.stderr}"
        )
        time.sleep(1)
    assert shell(deployed.host, "systemctl --failed --quiet --no-legend") == ""
    assert deployed.changed() == []
