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
import yaml

import lab
from operations import health, monitoring
from tests.lab import alert_cases, alerting, clock, dashboard_page
from tests.lab.alerting import (
    CONNECT,
    EAR,
    OF_THE_MACHINE,
    OWN,
    PSQL,
    UNUSUAL,
    database_grown,
    fired,
    firing,
    mails,
    memory_eaten,
    own_measurements,
    recovery_slowed,
    take_mail,
    wait,
)
from tests.lab.playbook import PROJECT, LabHost, eventually, fingerprint, shell, ssh
from tests.lab.project import STATUS, Deployed, copy

TEMPLATE = "deployed"
MEMORY = alerting.MEMORY
# What is slow is a wait, and it is the same on both: the packages of trixie are seen by hand and in docs.
pytestmark = pytest.mark.parametrize("lab_host", ["bookworm"], indirect=True, scope="module")
ON = """{"health": {"every": 10, "restart_after": 2, "baseline": {"hours": 0.2, "samples": 3}},
    "monitoring": {"every": 5, "minute": 2,
    "webhook": {"source": "environment", "variable": "HOSTWRIGHT_TEST_WEBHOOK"},
    "email": {"to": "people@example.org", "sender": "ops@example.com", "server": "mail.test", "port": 5587,
    "password": {"source": "environment", "variable": "HOSTWRIGHT_TEST_MAIL"}}}}"""
TOKEN = "T0k3n-of-the-webhook"
PASSWORD = "p4ss \"word\" \\ of 'mail'"
# Seconds; a machine on which much else runs takes that long, and waits end as soon as they can.
PATIENCE = 180
STATE = "/var/backups/rec_io/state.json"
LOGS = "/opt/rec_io/shared/logs"
BACKUP = "/etc/hostwright/backup/rec_io.json"
# These end once what they look back at is over.
LOOKING_BACK = {
    "RestartLoop", "CpuHigh", "LogGrowth", "ErrorLines", "DatabaseConnections", "OutsideBaseline",
}  # fmt: skip
GROWN = "archive"
GO = "/root/go"
METRIC = re.compile(r"\b(?:up\b|(?:hostwright|node|pg|alertmanager|prometheus)[_:][a-z0-9_:A-Z]+)")
# Of whose begin and end the webhook must have been told.
HEARD = ("BackupTooOld", "ServiceDown", "RestartLoop", "LogGrowth", "CpuHigh", "HealthStale", "AlertsNotSent")


@pytest.fixture(scope="module")
def watched(lab_host: LabHost, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployed]:
    shell(lab_host, "cat >/root/ear.py", stdin=EAR)
    hear(lab_host)
    own_measurements(lab_host)
    take_mail(lab_host, PASSWORD)
    # Beside rec_io, the app that tells how long it took to recover.
    lab.up(lab_host.name, groups=("both",))
    made = Deployed(lab_host, "root", copy(tmp_path_factory.mktemp("monitoring")))
    declare(made, ON)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HOSTWRIGHT_TEST_WEBHOOK", f"http://127.0.0.1:9999/{TOKEN}")
        patch.setenv("HOSTWRIGHT_TEST_MAIL", PASSWORD)
        made.run("-y", "-vvv")
        assert TOKEN not in made.output
        assert PASSWORD not in made.output
        # With such days, one that was made before the tests began is soon too old.
        shell(lab_host, "systemctl start hostwright-backup-rec_io")
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
    for _ in range(120):
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


@pytest.mark.parametrize(
    ("secret", "name"), [(TOKEN, "webhook"), (PASSWORD, "email_password")], ids=["webhook", "email"]
)
def test_secrets_are_where_they_must_be_and_nowhere_else(watched: Deployed, secret: str, name: str) -> None:
    # In root's file, and in memory for Alertmanager; nor in what anybody sees of a process. The snapshot of a
    # later run has it, too, which is root's.
    host = watched.host
    # As it is, and as JSON and YAML have it.
    ways = "\n".join({secret, json.dumps(secret)[1:-1]})
    look = "grep -rlF -f - /etc /run /var/lib/hostwright /var/log 2>/dev/null || true"
    found = shell(host, look, stdin=ways).split()
    assert found == [
        f"/etc/hostwright/monitoring/secrets/{name}", "/run/hostwright-alertmanager/alertmanager.yml",
    ]  # fmt: skip
    modes = shell(host, f"stat -c '%a %U %G' {' '.join(found)}").splitlines()
    assert modes == ["600 root root", "640 root prometheus"]
    assert secret not in shell(host, "ps axww -o args")


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


def hear(host: LabHost) -> None:
    shell(host, "systemd-run --quiet --unit=ear -- python3 /root/ear.py")


def test_alerts_fire_when_it_happens_and_end_after_it(watched: Deployed) -> None:
    host = watched.host
    # Neither firing nor about to, minutes after the deploy; promtool has kept the CPU busy until now, and
    # another test may have done so when the app started.
    wait(host, "over", PATIENCE, "CpuHigh", "RecoverySlow")
    assert firing(host) <= OF_THE_MACHINE
    database_grown(host, GROWN)
    shell(host, "python3 -", stdin=UNUSUAL)
    pid = STATUS.replace(" status", " pid")
    busy = {
        # Supervisor takes one that dies within 3 s for one that cannot start, and gives it up in the end.
        "root": f"sh -c 'while sleep 5; do p=$({pid} trade_manager); [ $p = 0 ] || kill -9 $p; done'",
        "postgres": "python3 /tmp/connect.py 57 300",
        "nobody": "sh -c 'for n in $(seq $(nproc)); do while :; do :; done & done; wait'",
    }
    shell(host, "cat >/tmp/connect.py", stdin=CONNECT)
    for user, command in busy.items():
        nice = 19 if user == "nobody" else 0
        shell(host, f"systemd-run --quiet --unit=busy-{user} --uid={user} --nice={nice} -- {command}")
    spoil = f"""
    {STATUS.replace(" status", " stop")} main_app
    cp -p {STATE} /root/state.json
    sed -i 's/"made": [0-9]*/"made": 1000/; s/"ok": true/"ok": false/' {STATE}
    touch -r {BACKUP} /root/declared && touch -d @1000 {BACKUP}
    for n in $(seq 30); do echo "2026-01-01T00:00:00Z ERROR made up"; done >>{LOGS}/live_data_writer.log
    head -c 12000000 /dev/zero | tr '\\0' '\\n' >>{LOGS}/trade_history_archiver.log
    echo '{{"outcome": "undone", "ended": 1}}' >>/var/log/hostwright/ledger.jsonl
    fallocate -l $(($(df --output=avail -B1 / | tail -1) - 1000000000)) /root/large
    """
    recovery_slowed(host)
    shell(host, spoil)
    there = {
        "ServiceDown", "GatesFailing", "BackupTooOld", "BackupFailed", "BackupUnproven", "RunFailed",
        "DiskAlmostFull", "DiskFilling",
    }  # fmt: skip
    wait(host, "firing", PATIENCE, *there, *LOOKING_BACK, "HealthRestarted", "RecoverySlow")
    mend = f"""
    systemctl stop 'busy-*'
    rm /root/large /var/lib/hostwright/health/rec_io.baseline.json
    cp -p /root/state.json {STATE}
    touch -r /root/declared {BACKUP}
    sed -i '$d' /var/log/hostwright/ledger.jsonl
    """
    shell(host, mend)
    wait(host, "over", PATIENCE, *there)
    # The service that was stopped is back by the host's own doing.
    assert " RUNNING " in shell(host, f"{STATUS} main_app")


@pytest.fixture(scope="module")
def unconfirmed(watched: Deployed) -> Iterator[subprocess.Popen[str]]:
    """A run that has changed something, and is confirmed once GO is there."""
    verb = watched.project / "deploy.py"
    text = verb.read_text()
    waits = f'server.shell(name="Wait", commands=["until test -e {GO}; do sleep 0.2; done"])\n'
    held = f"from pyinfra.operations import server\n{waits}trial.confirm()"
    verb.write_text(text.replace("trial.confirm()", held))
    process = watched.start("-y")
    eventually(lambda: f"until test -e {GO}" in ssh(watched.host, "ps -eo args").stdout, seconds=PATIENCE)
    verb.write_text(text)
    yield process
    process.kill()
    process.communicate()


def test_nobody_measures_or_is_told(watched: Deployed, unconfirmed: subprocess.Popen[str]) -> None:
    host = watched.host
    shell(host, "systemctl stop hostwright-health.timer ear")
    # Refused and not stopped: the app would log errors, for which the next run would be undone.
    as_postgres = "cd / && runuser -u postgres -- psql -Xqc"
    ended = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = $$prometheus$$"
    shell(host, f"{as_postgres} 'ALTER ROLE prometheus NOLOGIN' -c '{ended}'")
    wait(host, "firing", PATIENCE, "DatabaseDown")
    shell(host, f"{as_postgres} 'ALTER ROLE prometheus LOGIN' && systemctl stop hostwright-postgres")
    blind = {"ExporterDown", "HealthStale", "AlertsNotSent"}
    wait(host, "firing", PATIENCE, *blind)
    shell(host, "systemctl start hostwright-postgres hostwright-health.timer")
    hear(host)
    wait(host, "over", PATIENCE, *LOOKING_BACK, *blind, "DatabaseDown")
    done = [json.loads(line) for line in shell(host, "cat /var/log/hostwright/health.jsonl").splitlines()]
    # The one that is killed again and again may be down in two rounds in a row.
    restarted = {one["service"] for one in done if one["ok"]}
    assert {"main_app"} <= restarted <= {"main_app", "trade_manager"}
    assert re.search(
        r"main_app failed 2 times: expected .*, saw .*; restarted",
        shell(host, "journalctl -o cat -u hostwright-health"),
    )


def test_memory_and_swap_are_eaten(watched: Deployed, unconfirmed: subprocess.Popen[str]) -> None:
    with memory_eaten(watched.host):
        wait(watched.host, "firing", PATIENCE, "MemoryLow", "SwapUsed")
    wait(watched.host, "over", PATIENCE, "MemoryLow", "SwapUsed")


def test_nobody_keeps_the_clock(watched: Deployed) -> None:
    with clock.said_to_be(kept=False):
        wait(watched.host, "firing", PATIENCE, "ClockWrong")
    with clock.said_to_be(kept=True):
        wait(watched.host, "over", PATIENCE, "ClockWrong")


def test_a_database_grows_and_then_nothing_is_written_to_it(watched: Deployed) -> None:
    host = watched.host
    wait(host, "firing", PATIENCE, "DatabaseGrowth", "DatabaseWritesStopped")
    shell(host, f"{PSQL} -d {GROWN} -c 'INSERT INTO grown VALUES (1)'")
    wait(host, "over", PATIENCE, "DatabaseWritesStopped")
    assert "DatabaseGrowth" in firing(host)
    shell(host, f"{PSQL} -c 'DROP DATABASE {GROWN}'")
    wait(host, "over", PATIENCE, "DatabaseGrowth")


def test_a_run_is_not_confirmed(watched: Deployed, unconfirmed: subprocess.Popen[str]) -> None:
    wait(watched.host, "firing", PATIENCE, "RunUnconfirmed")
    shell(watched.host, f"touch {GO}")
    said = "".join(unconfirmed.communicate(timeout=PATIENCE))
    assert unconfirmed.returncode == 0, said[-6000:]
    wait(watched.host, "over", PATIENCE, "RunUnconfirmed")


def test_each_metric_that_somebody_asks_for_is_measured(watched: Deployed) -> None:
    names = "urllib.request.urlopen('http://127.0.0.1:9090/api/v1/label/__name__/values').read().decode()"
    there = set(
        json.loads(shell(watched.host, f'python3 -c "import urllib.request; print({names})"'))["data"]
    )
    rules = [rule for group in yaml.safe_load(monitoring.rules())["groups"] for rule in group["rules"]]
    page = (PROJECT / "files/dashboard/data.js").read_text()
    asked = {*METRIC.findall("\n".join([*(rule["expr"] for rule in rules), *re.findall("query:.*", page)]))}
    assert len(asked) > 40
    # Of rec_io's host, that is; health tells of them where there is something to tell.
    assert asked - there <= {
        "hostwright_backup_last_proof_ok",
        "hostwright_drift_differences", "hostwright_drift_timestamp_seconds",  # a test below has them
    }  # fmt: skip
    for pattern in re.findall(r'"(\S+)",?(?=[ \n])', page.partition("NAMES = [")[2].partition("];")[0]):
        assert any(re.fullmatch(pattern, one) for one in there), pattern


def test_whoever_is_told_hears_of_begin_and_end(watched: Deployed) -> None:
    host = watched.host
    expected = {(one, state) for one in HEARD for state in ("firing", "resolved")}
    for _ in range(120):
        heard = [line.partition(" ") for line in shell(host, "cat /root/heard").splitlines()]
        told = {
            (one["labels"]["alertname"], one["status"])
            for _, _, said in heard
            for one in json.loads(said)["alerts"]
        }
        if expected <= told:
            break
        time.sleep(1)  # ends are told with the next news of a group
    assert expected - told == set()
    assert {path for path, _, _ in heard} == {f"/{TOKEN}"}


def test_one_mail_says_that_it_begins_and_one_that_it_ends(watched: Deployed) -> None:
    found = mails(watched.host)
    for alert in ("BackupTooOld", "RestartLoop"):
        subjects = [subject for _, subject in found if f" {alert} " in subject]
        said = [one.partition(" ")[0] for one in subjects]
        # Where rounds of health come late, on a busy machine, a loop is over for a while and begins again.
        times = len(said) // 2 if alert == "RestartLoop" else 1
        assert said == ["[FIRING:1]", "[RESOLVED]"] * max(times, 1)
        assert all(watched.host.name in one for one in subjects)
    for one, _ in found:
        assert (one["from"], one["to"]) == ("ops@example.com", ["people@example.org"])
        assert (one["login"], one["cipher"][:4]) == ("ops@example.com", "TLS_")


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
        "Services",
        "rec_io main_app",
        "portfolio_manager",
        "rec_io_db",
        "deploy.py (lab)",
        "confirmed",
    ):
        assert words in text
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=60) == 0
    for page in pages:
        with pytest.raises(OSError, match="refused"):
            direct.open(page, timeout=5)


def test_drift_is_told_until_a_run_is_confirmed(watched: Deployed) -> None:
    host = watched.host
    shell(host, "chmod o+w /opt/rec_io/shared/backend/data")
    process = watched.start("--data", "record=yes", verb="drift.py")
    said = "".join(process.communicate(timeout=600))
    assert process.returncode == 2, said
    wait(host, "firing", PATIENCE, "Drift")
    watched.run("-y")
    wait(host, "over", PATIENCE, "Drift")


def test_each_alert_has_fired_and_in_the_end_none_is_left(watched: Deployed) -> None:
    # An hour of the rules after the restart, and the recovery.
    wait(watched.host, "over", PATIENCE, "HealthRestarted", "RecoverySlow")
    assert firing(watched.host) <= OF_THE_MACHINE
    rules = [rule for group in yaml.safe_load(monitoring.rules())["groups"] for rule in group["rules"]]
    assert fired(watched.host) == {rule["alert"] for rule in rules if "alert" in rule}


def test_switched_off_nothing_is_left_of_it(watched: Deployed) -> None:
    host = watched.host
    shell(host, f"rm -r {OWN}")
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
