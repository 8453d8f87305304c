"""Monitoring: rules and their runbook, what is written for a host, and who may look at the database."""

from __future__ import annotations

import re
import shlex
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from pyinfra.api import OperationError

from operations import bundle, monitoring
from operations.monitored import Email, Monitoring
from tests.lab import alert_cases, own_memory
from tests.lab.playbook import PROJECT

RUNBOOK = (PROJECT / "docs/runbook.md").read_text()


def alerts(text: str | None = None) -> list[dict[str, Any]]:
    groups = yaml.safe_load(monitoring.rules() if text is None else text)["groups"]
    return [rule for group in groups for rule in group["rules"] if "alert" in rule]


def test_each_alert_has_its_paragraph_and_no_paragraph_is_orphaned() -> None:
    paragraphs = re.findall(r"^### (\w+)$", RUNBOOK, re.MULTILINE)
    assert sorted(paragraphs) == sorted(one["alert"] for one in alerts())
    for one in alerts():
        assert one["annotations"]["runbook"] == f"docs/runbook.md#{one['alert'].lower()}"


def test_each_paragraph_says_where_to_look_what_to_do_and_when_it_ends() -> None:
    for paragraph in RUNBOOK.split("\n### ")[1:]:
        body = paragraph.split("\n## ")[0]
        for word in ("Look:", "Do:", "Ends:"):
            assert f"\n- {word} " in body, f"{paragraph.splitlines()[0]} lacks {word!r}"


def test_each_alert_is_seen_firing_and_not_firing() -> None:
    fired = {case.alert for case in alert_cases.CASES if case.fires is not None and case.quiet}
    assert fired == {one["alert"] for one in alerts()}


def test_each_alert_is_made_real_on_a_host() -> None:
    # At its end that module compares the rules with what Prometheus remembers to have fired there.
    named = re.findall(r'"([A-Z][A-Za-z]+)"', (PROJECT / "tests/lab/test_monitoring.py").read_text())
    assert {one["alert"] for one in alerts()} <= set(named)


@pytest.mark.parametrize("version", ["first", "second"])
def test_what_a_test_host_uses_is_read_of_its_group(version: str, tmp_path: Path) -> None:
    first = version == "first"
    place, prefix = (tmp_path / "memory", "total_") if first else (tmp_path, "")
    place.mkdir(exist_ok=True)
    counts = {"active_file": 3 << 20, "inactive_file": 1 << 20, "swap": 2 << 20, "swapcached": 1 << 20}
    (place / "memory.stat").write_text("".join(f"{prefix}{one} {size}\n" for one, size in counts.items()))
    (place / ("memory.usage_in_bytes" if first else "memory.current")).write_text(f"{100 << 20}\n")
    (place / "memory.swap.current").write_text(f"{3 << 20}\n")
    now = own_memory.used(tmp_path)
    assert now == own_memory.Used(memory=100 << 20, files=4 << 20, swap=3 << 20)
    said = dict(line.split(":") for line in own_memory.text(1 << 30, 64 << 20, now).splitlines())
    assert {name: int(size.removesuffix(" kB")) for name, size in said.items()} == {
        "MemTotal": 1 << 20, "MemFree": 924 << 10, "MemAvailable": 928 << 10, "Cached": 4 << 10,
        "SwapTotal": 64 << 10, "SwapFree": 61 << 10,
    }  # fmt: skip


def test_alerts_name_the_host_and_a_severity() -> None:
    for one in alerts():
        assert one["labels"]["severity"] in ("critical", "warning")
        assert "$labels.host" in one["annotations"]["summary"]


def test_a_shorter_minute_shortens_all_times_and_nothing_else() -> None:
    shorter = monitoring.rules(5)
    whole, short = alerts(), alerts(shorter)
    assert {one["for"] for one in short if "for" in one} <= {f"{n * 5}s" for n in (2, 3, 5, 10, 15, 30)}
    assert not re.findall(r"\[[0-9]+[mhd]\]", shorter)
    assert "offset 7200s" in shorter
    assert len(re.findall(r"\[[0-9]+s\]", shorter)) == len(re.findall(r"\[[0-9]+[mhd]\]", monitoring.rules()))
    for before, after in zip(whole, short, strict=True):
        assert before["annotations"] == after["annotations"]


def test_a_shorter_minute_shortens_the_ages_that_are_compared_with() -> None:
    def ages(text: str) -> dict[str, str]:
        found = {
            one["alert"]: re.search(r"time\(\) - \w+ [<>] ([0-9 *]+)", one["expr"]) for one in alerts(text)
        }
        return {alert: match[1].strip() for alert, match in found.items() if match is not None}

    assert ages(monitoring.rules()) == {
        "RecoverySlow": "3600", "BackupTooOld": "26 * 3600", "BackupUnproven": "8 * 86400",
        "RunUnconfirmed": "3600", "HealthStale": "4 *",
    }  # fmt: skip
    assert ages(monitoring.rules(2)) == {
        "RecoverySlow": "120", "BackupTooOld": "3120", "BackupUnproven": "23040",
        "RunUnconfirmed": "120", "HealthStale": "4 *",
    }  # fmt: skip
    # Bytes an hour are that, however long a minute is.
    assert "* 3600 > 100e6" in monitoring.rules(2)


def test_everything_listens_on_this_host_alone() -> None:
    made = monitoring.files(Monitoring(host="web-1"))
    units = {one.path: one.text for one in made if one.path.endswith(".service")}
    assert len(units) == 4
    for text in units.values():
        assert "--web.listen-address=127.0.0.1:" in text
        assert "0.0.0.0" not in text
    assert "--cluster.listen-address=\n" in units[f"{bundle.UNITS}/hostwright-alertmanager.service"]


def test_each_collects_its_garbage_soon_and_has_an_end_to_what_it_takes() -> None:
    made = monitoring.files(Monitoring(host="web-1"))
    units = [one.text for one in made if one.path.endswith(".service")]
    assert len(units) == 4
    for text in units:
        assert "\nEnvironment=GOGC=20\n" in text
        assert re.search(r"\nMemoryMax=(64|128|400)M\n", text)


def test_exporters_listen_where_another_host_asks_them_and_pages_do_not() -> None:
    about = Monitoring(host="web-1", listen="10.0.0.2")
    found = {
        one.path.rpartition("/")[2]: re.findall(r"--web\.listen-address=(\S+)", one.text)
        for one in monitoring.files(about)
        if one.path.endswith(".service")
    }
    assert found == {
        "hostwright-node.service": ["127.0.0.1:9100", "10.0.0.2:9100"],
        "hostwright-postgres.service": ["127.0.0.1:9187", "10.0.0.2:9187"],
        "hostwright-prometheus.service": ["127.0.0.1:9090"],
        "hostwright-alertmanager.service": ["127.0.0.1:9093"],
    }
    assert "=[fd00::2]:9100 " in monitoring.unit_text("node", Monitoring(host="web-1", listen="fd00::2"))


def test_other_hosts_are_asked_for_their_exporters_under_their_names() -> None:
    about = Monitoring(host="web-1", targets={"db-1": "10.0.0.3", "db-2": "fd00::3"})
    config = next(one.text for one in monitoring.files(about) if one.path.endswith("prometheus.yml"))
    asked = {
        (job["job_name"], one["labels"]["host"]): one["targets"]
        for job in yaml.safe_load(config)["scrape_configs"]
        for one in job["static_configs"]
    }
    assert asked == {
        **{(job, "web-1"): [f"127.0.0.1:{port}"] for job, (_, port) in monitoring.JOBS.items()},
        ("node", "db-1"): ["10.0.0.3:9100"],
        ("postgres", "db-1"): ["10.0.0.3:9187"],
        ("node", "db-2"): ["[fd00::3]:9100"],
        ("postgres", "db-2"): ["[fd00::3]:9187"],
    }


def test_secrets_are_named_and_never_written() -> None:
    email = Email("ops@example.com", "web@example.com", "smtp.example.com", password=True)
    made = monitoring.files(Monitoring(host="web-1", webhook=True, email=email))
    config = next(one.text for one in made if one.path.endswith("alertmanager.yml"))
    receiver = yaml.safe_load(config)["receivers"][0]
    assert receiver["webhook_configs"][0]["url"] == "http://hostwright.invalid/webhook"
    assert receiver["email_configs"][0]["auth_password"] == "http://hostwright.invalid/email_password"
    assert receiver["email_configs"][0]["smarthost"] == "smtp.example.com:587"


def test_no_url_of_a_webhook_is_logged() -> None:
    text = monitoring.unit_text("alertmanager", Monitoring(host="web-1", webhook=True))
    given = re.search(r"^ExecStart=(.*)$", text, re.MULTILINE)
    assert given is not None
    bash, flag, script = shlex.split(given[1])
    # Something that says what Alertmanager would say, in its place.
    says = re.sub(r"exec /usr/bin/prometheus-alertmanager .*? (?=2>)", r'printf "%s\\n" "$SAID" ', script)
    said = r'err="people/webhook[0]: Post \"https://hooks.example.com/T0k3n\": dial tcp: refused"'
    done = subprocess.run(
        [bash, flag, f"{says} >&2; wait $!"], capture_output=True, text=True, env={"SAID": said}, check=True
    )
    assert done.stdout + done.stderr == 'err="people/webhook[0]: Post \\"(a URL) dial tcp: refused"\n'


def test_a_host_without_server_has_exporters_alone() -> None:
    about = Monitoring(host="web-1", server=False)
    assert [one.path.rpartition("/")[2] for one in monitoring.files(about)] == [
        "hostwright-node.service", "hostwright-postgres.service",
    ]  # fmt: skip
    assert monitoring.checks(about) == []
    assert monitoring.packages(server=False) == ["prometheus-node-exporter", "prometheus-postgres-exporter"]


@pytest.mark.parametrize(
    ("about", "words"),
    [
        ({"host": 'web"1'}, "host 'web\"1' is not usable"),
        ({"host": "web-1", "every": 0}, "every is 0; write 1 or more"),
        ({"host": "web-1", "targets": {"web-1": "10.0.0.2"}}, "target 'web-1' is not usable"),
        ({"host": "web-1", "targets": {'a"b': "10.0.0.2"}}, "target 'a\"b' is not usable"),
        ({"host": "web-1", "targets": {"db-1": "db-1"}}, "'db-1' is no address"),
        ({"host": "web-1", "listen": "all"}, "'all' is no address; write it like '10.0.0.2'"),
        ({"host": "web-1", "keep_size": "1T"}, "keep_size is '1T'; write it like '512MB'"),
    ],
)
def test_what_is_not_usable_is_refused(about: dict[str, Any], words: str) -> None:
    with pytest.raises(OperationError, match=re.escape(words)):
        monitoring.files(Monitoring(**about))
