"""Monitoring on a real host: alerts fire when it happens and end after it; switched off, nothing is left."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator

import pytest

from operations import health, monitoring
from tests.lab import alert_cases, dashboard_page
from tests.lab.playbook import LabHost, fingerprint, shell, ssh
from tests.lab.project import STATUS, Deployed, copy

TEMPLATE = "deployed"
# What is slow is a wait, and it is the same on both: the packages of trixie are seen by hand and in docs.
pytestmark = pytest.mark.parametrize("lab_host", ["bookworm"], indirect=True, scope="module")
ON = """{"health": {"every": 10, "restart_after": 2, "baseline": {"hours": 0.2, "samples": 3}},
    "monitoring": {"every": 5, "minute": 2,
    "webhook": {"source": "environment", "variable": "HOSTWRIGHT_TEST_WEBHOOK"}}}"""
TOKEN = "T0k3n-of-the-webhook"
# Whoever is told of alerts: it writes down what it hears, and where.
EAR = """
import http.server
class Ear(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        said = self.rfile.read(int(self.headers["Content-Length"])).decode().strip()
        with open("/root/heard", "a") as file:
            file.write(f"{self.path} {said}\\n")
        self.send_response(200)
        self.end_headers()
    def log_message(self, *_):
        pass  # the journal is looked at for what this would say
http.server.HTTPServer(("127.0.0.1", 9999), Ear).serve_forever()
"""
# The kernel and the clock are the machine's, which other tests keep busy.
OF_THE_MACHINE = {"ClockWrong", "CpuHigh", "MemoryLow", "SwapUsed"}
# Waits until some alerts have all been seen "firing", or are all "over"; prints which of them lack.
WAIT = """
import json, sys, time, urllib.request
state, seconds, names = sys.argv[1], float(sys.argv[2]), set(sys.argv[3:])
began, seen = time.monotonic(), set()
while True:
    with urllib.request.urlopen("http://127.0.0.1:9090/api/v1/alerts", timeout=5) as answer:
        found = json.load(answer)["data"]["alerts"]
    # What is about to fire counts as not over.
    firing = {one["labels"]["alertname"] for one in found if state == "over" or one["state"] == "firing"}
    seen |= firing
    lack = names - seen if state == "firing" else names & firing
    if not lack or time.monotonic() > began + seconds:
        print(json.dumps({"lack": sorted(lack), "firing": sorted(firing)}))
        break
    time.sleep(0.5)
"""
# Holds connections open: a login by the local socket, as PostgreSQL's protocol has it.
CONNECT = """
import socket, struct, sys, time
body = struct.pack("!i", 196608) + b"user\\0postgres\\0database\\0postgres\\0\\0"
held = []
for _ in range(int(sys.argv[1])):
    one = socket.socket(socket.AF_UNIX)
    one.connect("/run/postgresql/.s.PGSQL.5432")
    one.sendall(struct.pack("!i", len(body) + 4) + body)
    held.append(one)
time.sleep(float(sys.argv[2]))
"""
# Makes what an app always does unusual.
UNUSUAL = """
import json, os, time
path = "/var/lib/hostwright/health/rec_io.baseline.json"
while not os.path.exists(path):
    time.sleep(0.2)
with open(path) as file:
    known = json.load(file)
known["metrics"]["log_lines"] = {"median": 2e12, "low": 1e12, "high": 3e12, "of": 3}
with open(path + ".new", "w") as file:
    json.dump(known, file)
os.rename(path + ".new", path)
"""
STATE = "/var/backups/rec_io/state.json"
LOGS = "/opt/rec_io/shared/logs"


def wait(host: LabHost, state: str, seconds: float, *names: str) -> None:
    said = json.loads(
        shell(host, f"python3 - {state} {seconds} {' '.join(names)}", stdin=WAIT, timeout=seconds + 30)
    )
    assert said["lack"] == [], f"not {state} after {seconds} s, while {said['firing']} are firing"


def firing(host: LabHost) -> set[str]:
    return set(json.loads(shell(host, "python3 - over 0", stdin=WAIT))["firing"])


@pytest.fixture(scope="module")
def watched(lab_host: LabHost, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployed]:
    shell(lab_host, "cat >/root/ear.py && systemd-run --quiet --unit=ear -- python3 /root/ear.py", stdin=EAR)
    made = Deployed(lab_host, "root", copy(tmp_path_factory.mktemp("monitoring")))
    declare(made, ON)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HOSTWRIGHT_TEST_WEBHOOK", f"http://127.0.0.1:9999/{TOKEN}")
        made.run("-y", "-vvv")
        assert TOKEN not in made.output
        yield made


def declare(deployed: Deployed, given: str) -> None:
    file = deployed.project / "group_data/lab.py"
    text = file.read_text().partition("\n# test\n")[0]
    file.write_text(f"{text}\n# test\noverrides = {{**overrides, **{given}}}\n")


def settled(host: LabHost) -> dict[str, str]:
    """Everything that a run with nothing to do leaves alone: files, processes, roles."""
    found = fingerprint(host, "/etc", "/usr/local")
    found["units"] = shell(host, "systemctl show -p Id,MainPID --type=service --state=running 'hostwright-*'")
    found["timer"] = shell(host, "systemctl show -p ActiveEnterTimestamp hostwright-health.timer")
    roles = "SELECT xmin, rolname FROM pg_authid ORDER BY 2"
    found["roles"] = shell(host, f"cd / && runuser -u postgres -- psql -XAtqc '{roles}'")
    return found


def test_again_nothing_changes(watched: Deployed) -> None:
    before = settled(watched.host)
    assert watched.changed() == []
    assert settled(watched.host) == before


def test_everything_is_asked_and_only_from_here(watched: Deployed) -> None:
    host = watched.host
    listening = shell(host, "ss -Htlnp | grep prometheus | awk '{print $4}'").split()
    assert sorted(listening) == [f"127.0.0.1:{port}" for port in (9090, 9093, 9100, 9187)]
    ask = (
        "import urllib.request as u; print(u.urlopen('http://127.0.0.1:9090/api/v1/targets').read().decode())"
    )
    for _ in range(20):
        targets = json.loads(shell(host, f'python3 -c "{ask}"'))["data"]["activeTargets"]
        if all(one["health"] == "up" for one in targets):
            break
        time.sleep(1)
    assert {one["labels"]["job"]: one["health"] for one in targets} == dict.fromkeys(monitoring.JOBS, "up")
    assert {one["labels"]["host"] for one in targets} == {host.name}
    # No password: it is let in for what it is, and may look at nothing in the apps' databases.
    as_prometheus = "cd / && runuser -u prometheus -- psql -XAtq"
    assert (
        shell(
            host,
            f"{as_prometheus} -d postgres -c 'SELECT pg_has_role(current_user, $$pg_monitor$$, $$member$$)'",
        )
        == "t"
    )
    assert "pg_hba.conf rejects" in ssh(host, f"{as_prometheus} -d rec_io_db -c 'SELECT 1'").stderr
    for package in monitoring.packages(server=True):
        assert ssh(host, f"systemctl is-enabled {package}").stdout == "masked\n"


def test_rules_as_they_are_meant(watched: Deployed) -> None:
    host = watched.host
    shell(host, "mkdir -p /root/rules && cat >/root/rules/rules.yml", stdin=alert_cases.rules_without_words())
    for name, cases in alert_cases.promtool_texts("rules.yml").items():
        shell(host, f"cat >/root/rules/{name}", stdin=cases)
    check = "cd /root/rules && promtool test rules cases-*.yml && promtool check rules rules.yml"
    said = ssh(host, check, timeout=120)
    assert said.returncode == 0, said.stdout + said.stderr
    metrics = "/var/lib/prometheus/node-exporter/hostwright.prom"
    said = ssh(host, f"promtool check metrics <{metrics}")
    assert (said.returncode, said.stdout + said.stderr) == (0, "")


def test_alerts_fire_when_it_happens_and_end_after_it(watched: Deployed) -> None:
    host = watched.host
    # Neither firing nor about to, minutes after the deploy.
    assert firing(host) <= OF_THE_MACHINE
    shell(host, "python3 -", stdin=UNUSUAL)
    pid = STATUS.replace(" status", " pid")
    busy = {
        # Supervisor takes one that dies within 3 s for one that cannot start, and gives it up in the end.
        "root": f"sh -c 'for n in 1 2 3 4 5 6 7; do kill -9 $({pid} trade_manager); sleep 5; done'",
        "postgres": "python3 /tmp/connect.py 65 30",
        "nobody": "timeout 40 sh -c 'for n in $(seq $(nproc)); do while :; do :; done & done; wait'",
    }
    shell(host, "cat >/tmp/connect.py", stdin=CONNECT)
    for user, command in busy.items():
        shell(host, f"systemd-run --quiet --uid={user} --nice=19 -- {command}")
    spoil = f"""
    {STATUS.replace(" status", " stop")} main_app
    cp -p {STATE} /root/state.json
    sed -i 's/"made": [0-9]*/"made": 1000/; s/"ok": true/"ok": false/' {STATE}
    for n in $(seq 30); do echo "2026-01-01T00:00:00Z ERROR made up"; done >>{LOGS}/live_data_writer.log
    head -c 12000000 /dev/zero | tr '\\0' '\\n' >>{LOGS}/trade_history_archiver.log
    echo '{{"outcome": "undone", "ended": 1}}' >>/var/log/hostwright/ledger.jsonl
    fallocate -l $(($(df --output=avail -B1 / | tail -1) - 1000000000)) /root/large
    """
    shell(host, spoil)
    happened = [
        "ServiceDown", "GatesFailing", "BackupTooOld", "BackupFailed", "ErrorLines", "LogGrowth", "RunFailed",
        "DiskAlmostFull", "RestartLoop", "DatabaseConnections", "CpuHigh", "HealthRestarted",
        "OutsideBaseline",
    ]  # fmt: skip
    wait(host, "firing", 75, *happened)
    mend = f"""
    rm /root/large /var/lib/hostwright/health/rec_io.baseline.json
    cp -p /root/state.json {STATE}
    sed -i '$d' /var/log/hostwright/ledger.jsonl
    systemctl stop hostwright-postgres
    """
    shell(host, mend)
    # The service that was stopped is back by the host's own doing.
    passing = {"HealthRestarted", "LogGrowth", "RestartLoop", "ErrorLines", *OF_THE_MACHINE}
    wait(host, "over", 60, *(one for one in happened if one not in passing))
    assert " RUNNING " in shell(host, f"{STATUS} main_app")
    wait(host, "firing", 30, "ExporterDown")
    shell(host, "systemctl start hostwright-postgres")
    wait(host, "over", 30, "ExporterDown")
    (done,) = (json.loads(line) for line in shell(host, "cat /var/log/hostwright/health.jsonl").splitlines())
    assert (done["service"], done["ok"]) == ("main_app", True)
    assert re.search(
        r"main_app failed 2 times: expected .*, saw .*; restarted",
        shell(host, "journalctl -o cat -u hostwright-health"),
    )


def test_whoever_is_told_hears_of_it_and_nobody_sees_where(watched: Deployed) -> None:
    host = watched.host
    heard = [line.partition(" ") for line in shell(host, "cat /root/heard").splitlines()]
    assert {path for path, _, _ in heard} == {f"/{TOKEN}"}
    told = {
        (one["labels"]["alertname"], one["status"])
        for _, _, said in heard
        for one in json.loads(said)["alerts"]
    }
    assert {("BackupTooOld", "firing"), ("BackupTooOld", "resolved"), ("ServiceDown", "firing")} <= told
    # In root's file, and in memory for Alertmanager; nowhere else, nor in what anybody sees of a process.
    found = shell(
        host, f"grep -rl {TOKEN} /etc /run /var/lib/hostwright /var/log 2>/dev/null || true"
    ).split()
    assert [one for one in found if not one.endswith("/ear.py")] == [
        "/etc/hostwright/monitoring/secrets/webhook", "/run/hostwright-alertmanager/alertmanager.yml",
    ]  # fmt: skip
    modes = shell(host, f"stat -c '%a %U %G' {' '.join(found)}").splitlines()
    assert modes == ["600 root root", "640 root prometheus"]
    assert TOKEN not in shell(host, "ps axww -o args | grep -v grep")


def test_its_pages_are_seen_through_a_tunnel_that_ends(watched: Deployed) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "tunnel", "inventories/lab.py", watched.host.name],
        cwd=watched.project, env={**watched.environ(), "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout is not None
    said = [process.stdout.readline() for _ in range(5)]
    dashboard, *pages = re.findall(r"http://127\.0\.0\.1:\S+", "".join(said))
    assert dashboard == f"{pages[0]}user/"
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    assert [direct.open(f"{page}-/ready", timeout=10).status for page in pages] == [200, 200]
    page = dashboard_page.dom(pages[0].rstrip("/"))
    assert page.count('path class="curve') >= 6
    text = dashboard_page.words(page)
    for words in (
        "Last data ",
        "Services of rec_io",
        "main_app",
        "rec_io_db",
        "deploy.py (lab)",
        "confirmed",
    ):
        assert words in text
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=10) == 0
    for page in pages:
        with pytest.raises(OSError, match="refused"):
            direct.open(page, timeout=5)


def test_switched_off_nothing_is_left_of_it(watched: Deployed) -> None:
    host = watched.host
    declare(watched, "{}")
    watched.run("-y")
    ours = "hostwright-(health|node|postgres|prometheus|alertmanager)|/prometheus"
    assert shell(host, f"find /etc/systemd /run/systemd /usr/local | grep -E '{ours}' || true") == ""
    for place in (*monitoring.OWNED, *health.OWNED, monitoring.STATE, "/var/lib/hostwright/health/*"):
        assert ssh(host, f"ls -d {place}").stdout == ""
    assert shell(host, "ss -Htlnp | grep -c prometheus || true") == "0"
    assert "ii" not in shell(host, "dpkg-query -W -f '${db:Status-Abbrev}\n' 'prometheus*'")
    roles = "cd / && runuser -u postgres -- psql -XAtqc 'SELECT rolname FROM pg_roles'"
    assert "prometheus" not in shell(host, roles).split()
    assert watched.changed() == []


def test_what_is_installed_for_people(watched: Deployed) -> None:
    said = shell(watched.host, "monitor_performance")
    for words in ("CPU ", "memory ", "disk / ", "rec_io ", "12 of 12 RUNNING", "PostgreSQL ", "rec_io_db "):
        assert words in said
    shell(watched.host, "useradd --create-home guest")
    guest = shell(watched.host, "runuser -u guest -- monitor_performance")
    assert "(only root may see that)" in guest
    assert "CPU " in guest
